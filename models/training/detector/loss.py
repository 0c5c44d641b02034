"""What the network is told to do better: SimOTA assigns cells to objects (Ge et al. 2021, arXiv 2107.08430, section
2.3), then IoU loss for boxes and binary cross entropy for objectness and classes, each where the truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.training.detector.network import decode
from models.training.detector.targets import Targets

CENTRE_RADIUS = 2.5
CANDIDATES = 10
IOU_COST = 3.0
OUTSIDE_COST = 1e5
BOX_WEIGHT = 5.0
# A cell in a doubtful box is not punished for objectness where its own box overlaps that one by so much.
DOUBT_IOU = 0.3


@dataclass(frozen=True)
class Losses:
    total: Tensor
    box: float
    objectness: float
    classes: float
    cells: int


def iou_pairs(a: Tensor, b: Tensor) -> Tensor:
    """Row by row, (n, 4) and (n, 4) to (n,)."""
    inside = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    return inside / (area_a + area_b - inside + 1e-9)


def iou_table(a: Tensor, b: Tensor) -> Tensor:
    """(n, 4) and (m, 4) to (n, m)."""
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    inside = (torch.minimum(a[:, None, 2:], b[None, :, 2:]) - low).clamp(min=0).prod(2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    return inside / (area_a[:, None] + area_b[None] - inside + 1e-9)


@torch.no_grad()
def assign(  # noqa: PLR0917 (tensors that belong together)
    raw: Tensor, boxes: Tensor, cells: Tensor, wanted: Tensor, classes: Tensor, known: Tensor
) -> Tensor:
    """Which object each cell stands for, -1 for none. raw: (cells, 5 + labels). boxes: (cells, 4) decoded. wanted:
    (n, 4) with classes and known, (n, labels)."""
    owner = torch.full((len(cells),), -1, dtype=torch.long)
    if not len(wanted):
        return owner
    stride = cells[:, 2]
    middle = (cells[:, :2] + 0.5) * stride[:, None]
    x, y = middle[:, 0], middle[:, 1]
    inside = (x > wanted[:, None, 0]) & (x < wanted[:, None, 2]) & (y > wanted[:, None, 1]) & (y < wanted[:, None, 3])
    centre = (wanted[:, :2] + wanted[:, 2:]) / 2
    reach = CENTRE_RADIUS * stride
    close = ((x - centre[:, :1]).abs() < reach) & ((y - centre[:, 1:]).abs() < reach)
    chosen = (inside | close).any(0).nonzero()[:, 0]
    if not len(chosen):
        return owner
    iou = iou_table(wanted, boxes[chosen])
    score = (raw[chosen, 4:5].sigmoid() * raw[chosen, 5:].sigmoid()).sqrt().clamp(1e-6, 1 - 1e-6)
    yes, no = (classes * known) @ score.log().T, ((1 - classes) * known) @ (1 - score).log().T
    cost = -(yes + no) - IOU_COST * (iou + 1e-8).log()
    cost += OUTSIDE_COST * ~(inside & close)[:, chosen]
    count = min(CANDIDATES, len(chosen))
    ks = iou.topk(count, dim=1).values.sum(1).int().clamp(min=1)
    matched = torch.zeros_like(cost, dtype=torch.bool)
    order = cost.argsort(dim=1)
    for row, k in enumerate(ks.tolist()):
        matched[row, order[row, :k]] = True
    contested = matched.sum(0) > 1
    best = cost.argmin(0)
    matched[:, contested] = False
    matched[best[contested], contested.nonzero()[:, 0]] = True
    taken = matched.any(0)
    owner[chosen[taken]] = matched[:, taken].int().argmax(0)
    return owner


def losses(raw: Tensor, cells: Tensor, truth: Sequence[Targets]) -> Losses:
    """raw: (n, cells, 5 + labels) for n pictures with their targets."""
    boxes = decode(raw, cells)
    middle = (cells[:, :2] + 0.5) * cells[:, 2:]
    objectness_goal = torch.zeros(raw.shape[:2])
    objectness_known = torch.ones(raw.shape[:2])
    box_loss, class_loss, assigned = raw.new_zeros(()), raw.new_zeros(()), 0
    for index, targets in enumerate(truth):
        given = torch.from_numpy(targets.boxes)
        classes, known = torch.from_numpy(targets.classes), torch.from_numpy(targets.known)
        solid = torch.from_numpy(targets.solid)
        doubts = given[~solid]
        if len(doubts):
            within = (middle[:, None] > doubts[None, :, :2]).all(2) & (middle[:, None] < doubts[None, :, 2:]).all(2)
            alike = iou_table(boxes[index].detach(), doubts) > DOUBT_IOU
            objectness_known[index, (within & alike).any(1)] = 0.0
        wanted, classes, known = given[solid], classes[solid], known[solid]
        owner = assign(raw[index].detach(), boxes[index].detach(), cells, wanted, classes, known)
        own = (owner >= 0).nonzero()[:, 0]
        if not len(own):
            continue
        objects = owner[own]
        objectness_goal[index, own] = 1.0
        objectness_known[index, own] = 1.0
        iou = iou_pairs(boxes[index, own], wanted[objects])
        box_loss = box_loss + (1 - iou**2).sum()
        goal = classes[objects] * iou.detach().clamp(min=0.3)[:, None]
        each = functional.binary_cross_entropy_with_logits(raw[index, own, 5:], goal, reduction="none")
        class_loss = class_loss + (each * known[objects]).sum()
        assigned += len(own)
    each = functional.binary_cross_entropy_with_logits(raw[..., 4], objectness_goal, reduction="none")
    objectness_loss = (each * objectness_known).sum()
    share = max(assigned, 1)
    total = (BOX_WEIGHT * box_loss + objectness_loss + class_loss) / share
    parts = [float(one.detach()) / share for one in (box_loss, objectness_loss, class_loss)]
    return Losses(total, parts[0], parts[1], parts[2], assigned)
