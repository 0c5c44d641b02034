"""The bench's detector in torch, and its loss, to stand ours beside (benchmarks/tuning/detector.py has the same).

Written as somebody would write it in torch: scores stay logits until the loss, which is fused with their sigmoid.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

Parameters = dict[str, Tensor]
STRIDES = (8, 16, 32)
# Of models.tuning.losses.detection.
_BOX_WEIGHT, _LEAST_COVER, _LEAST_AREA_PX = 5.0, 0.3, 1e-6


def detector(p: Parameters, x: Tensor) -> Tensor:
    """n x cells x (4 + 1 + classes): boxes as they come, logits of scores."""

    def plain(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = p[f"{name}.weight"]
        groups = x.shape[1] // weight.shape[1]
        return functional.conv2d(x, weight, p[f"{name}.bias"], stride, weight.shape[2] // 2, 1, groups)

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        return functional.silu(plain(x, name, stride))

    def apart(x: Tensor, name: str, stride: int = 1) -> Tensor:
        return conv(conv(x, f"{name}.depthwise", stride), f"{name}.pointwise")

    def stage(x: Tensor, name: str, adds: bool = True) -> Tensor:
        through, past, number = conv(x, f"{name}.through"), conv(x, f"{name}.past"), 0
        while f"{name}.{number}.first.weight" in p:
            y = apart(conv(through, f"{name}.{number}.first"), f"{name}.{number}.second")
            through, number = through + y if adds else y, number + 1
        return conv(torch.cat((through, past), 1), f"{name}.joined")

    def twice(x: Tensor) -> Tensor:
        return functional.interpolate(x, scale_factor=2, mode="nearest")

    corners = (x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2])
    x = conv(torch.cat(corners, 1), "stem")
    x = stage(apart(x, "dark2.down", 2), "dark2")
    eighth = stage(apart(x, "dark3.down", 2), "dark3")
    sixteenth = stage(apart(eighth, "dark4.down", 2), "dark4")
    x = conv(apart(sixteenth, "dark5.down", 2), "pool.first")
    pools = [functional.max_pool2d(x, side, 1, side // 2) for side in (5, 9, 13)]
    last = stage(conv(torch.cat((x, *pools), 1), "pool.second"), "dark5", adds=False)
    low = conv(last, "lateral")
    narrow = conv(stage(torch.cat((twice(low), sixteenth), 1), "up4", adds=False), "reduce")
    high = stage(torch.cat((twice(narrow), eighth), 1), "up3", adds=False)
    middle = stage(torch.cat((apart(high, "down3", 2), narrow), 1), "out4", adds=False)
    deep = stage(torch.cat((apart(middle, "down4", 2), low), 1), "out5", adds=False)

    def head(x: Tensor, name: str) -> Tensor:
        x = conv(x, f"{name}.stem")
        boxes, classes = (apart(apart(x, f"{name}.{one}.0"), f"{name}.{one}.1") for one in ("boxes", "classes"))
        parts = plain(boxes, f"{name}.box"), plain(boxes, f"{name}.object"), plain(classes, f"{name}.class")
        return torch.cat(parts, 1).flatten(2)

    levels = [head(one, f"head.{number}") for number, one in enumerate((high, middle, deep))]
    return torch.cat(levels, 2).transpose(1, 2)


def grid(size: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Column and row of each cell (cells x 2), and its stride (cells x 1)."""
    places, strides = [], []
    for stride in STRIDES:
        side = torch.arange(size // stride, dtype=like.dtype)
        rows, columns = torch.meshgrid(side, side, indexing="ij")
        places.append(torch.stack((columns.flatten(), rows.flatten()), 1))
        strides.append(torch.full((rows.numel(), 1), float(stride), dtype=like.dtype))
    return torch.cat(places), torch.cat(strides)


def detection_loss(found: Tensor, labels: Tensor, size: int) -> Tensor:
    """labels: n x cells x (4 + 2 (1 + classes)), of which the latter half says how much each score counts."""
    classes = found.shape[-1] - 5
    places, strides = grid(size, found)
    middles, sides = (found[..., :2] + places) * strides, found[..., 2:4].clamp(max=10.0).exp() * strides
    low, high = middles - sides / 2, middles + sides / 2
    goal_low, goal_high = labels[..., :2], labels[..., 2:4]
    shared = (torch.minimum(high, goal_high) - torch.maximum(low, goal_low)).clamp(min=0.0).prod(-1, keepdim=True)
    both = (high - low).prod(-1, keepdim=True) + (goal_high - goal_low).prod(-1, keepdim=True)
    union = (both - shared).clamp(min=_LEAST_AREA_PX)
    hull = (torch.maximum(high, goal_high) - torch.minimum(low, goal_low)).prod(-1, keepdim=True)
    overlap = shared / union
    giou = overlap + union / hull.clamp(min=_LEAST_AREA_PX) - 1.0
    goal, weight = labels[..., 4 : 5 + classes], labels[..., 5 + classes :]
    assigned = goal[..., :1]
    pictures = weight[..., :1].amax(1).sum()
    total = torch.maximum(assigned.sum(), pictures).clamp(min=1.0)
    cover = overlap.detach().clamp(min=_LEAST_COVER)
    wanted = torch.cat((assigned, goal[..., 1:] * cover), -1)
    scores = functional.binary_cross_entropy_with_logits(found[..., 4:], wanted, weight, reduction="sum")
    return (scores + _BOX_WEIGHT * ((1.0 - giou) * assigned).sum()) / total
