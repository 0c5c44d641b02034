"""The teacher: YOLOX-nano as it came, made stronger by looking at each picture in several sizes and mirrored.

It says what a set leaves unlabelled, and so keeps the classes of COCO alive (data distillation: Radosavovic et al.
2018, arXiv 1712.04440; self-training with a noised student: Xie et al. 2020, arXiv 1911.04252).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from models.training.detector.data import Image, Picture
from models.training.detector.network import COCO_ROWS, Network, decode, grid, load_coco
from models.training.detector.targets import Array, Targets, joined, overlaps
from models.vision.detector import LABELS, Label

# Longer side in pixels, and whether mirrored.
VIEWS = ((416, False), (640, True), (800, False))
TAUGHT: tuple[Label, ...] = ("car", "bus", "truck", "motorcycle", "bicycle", "person")
_COLUMNS = [LABELS.index(label) for label in TAUGHT]
SAME_IOU = 0.55
# Mean score over the views from which a box is an object, and from which it is at least a doubt.
SURE, DOUBT = 0.38, 0.08
PAD = 114


class Teacher:
    def __init__(self, weights: Path) -> None:
        self.network: Network = load_coco(weights).eval()

    def look(self, image: Image) -> tuple[Array, Array]:
        """Boxes (n, 4) in pixels of the picture and their mean scores (n, labels); only the taught columns are set."""
        boxes, scores = [], []
        for side, mirrored in VIEWS:
            found = self._view(image, side, mirrored)
            boxes.append(found[0])
            scores.append(found[1])
        return merge(np.concatenate(boxes), np.concatenate(scores), len(VIEWS))

    def _view(self, image: Image, side: int, mirrored: bool) -> tuple[Array, Array]:
        height, width = image.shape[:2]
        scale = side / max(height, width)
        small = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_LINEAR)
        shape = [-(-length // 32) * 32 for length in small.shape[:2]]
        canvas = np.full((*shape, 3), PAD, np.uint8)
        canvas[: small.shape[0], : small.shape[1]] = small[:, ::-1] if mirrored else small
        with torch.inference_mode():
            raw = self.network(torch.from_numpy(canvas.transpose(2, 0, 1)[None].astype(np.float32)))[0]
            boxes = decode(raw, grid(*shape)).numpy() / scale
            rows = [5 + COCO_ROWS[label] for label in TAUGHT]
            taught = (raw[:, 4:5].sigmoid() * raw[:, rows].sigmoid()).numpy()
        if mirrored:
            boxes[:, 0::2] = small.shape[1] / scale - boxes[:, 2::-2]
        boxes = np.clip(boxes, 0, [width, height, width, height])
        keep = (taught.max(1) > 0.03) & ((boxes[:, 2:] - boxes[:, :2]).min(1) > 2)
        scores = np.zeros((int(keep.sum()), len(LABELS)), np.float32)
        scores[:, _COLUMNS] = taught[keep]
        kept = suppress(boxes[keep], scores)
        return boxes[keep][kept].astype(np.float32), scores[kept]


def suppress(boxes: Array, scores: Array, iou: float = 0.6) -> list[int]:
    """Indices of the best of each heap of boxes, whatever their class."""
    order = list(np.argsort(-scores.max(1), kind="stable"))
    kept: list[int] = []
    alive = np.ones(len(boxes), bool)
    for index in order:
        if alive[index]:
            kept.append(int(index))
            alive &= overlaps(boxes[index : index + 1], boxes)[0][0] < iou
    return kept


def merge(boxes: Array, scores: Array, views: int) -> tuple[Array, Array]:
    """Boxes of all views that mean one object become their mean, weighted by score; scores are the mean over the views
    that saw it, less where fewer than half did (weighted boxes fusion, Solovyev et al. 2021, arXiv 1910.13302)."""
    best = scores.max(1) if len(scores) else np.zeros(0, np.float32)
    alive = np.ones(len(boxes), bool)
    merged_boxes, merged_scores = [], []
    for index in np.argsort(-best, kind="stable"):
        if not alive[index]:
            continue
        same = alive & (overlaps(boxes[index : index + 1], boxes)[0][0] >= SAME_IOU)
        same[index] = True
        alive &= ~same
        weight = best[same] / best[same].sum()
        merged_boxes.append((boxes[same] * weight[:, None]).sum(0))
        count = min(int(same.sum()), views)
        merged_scores.append(scores[same].sum(0) / max(same.sum(), 1) * min(1.0, count / (views / 2)))
    if not merged_boxes:
        return np.zeros((0, 4), np.float32), np.zeros((0, len(LABELS)), np.float32)
    return np.array(merged_boxes, np.float32), np.array(merged_scores, np.float32)


def combine(given: Targets, picture: Picture, boxes: Array, scores: Array) -> Targets:
    """The set's own labels first; the teacher adds what the set does not label.

    A teacher's box on a labelled object says nothing. One of a class that the set labels, where the set has nothing, is
    a doubt. A fire engine is a truck or a bus to the teacher, so that column is masked for those.
    """
    if not len(boxes):
        return given
    labelled = picture.source.names or ()
    best = scores.argmax(1)
    top = scores.max(1)
    if len(given):
        iou, inside = overlaps(boxes, given.boxes)
        taken = (iou.max(1) > 0.5) | ((inside.max(1) > 0.8) & ~np.isin(best, [LABELS.index("person")]))
    else:
        taken = np.zeros(len(boxes), bool)
    chosen = (top >= DOUBT) & ~taken
    boxes, scores, best, top = boxes[chosen], scores[chosen], best[chosen], top[chosen]
    solid = (top >= SURE) & np.array([LABELS[int(one)] not in labelled for one in best], bool)
    # A mean over views is timid: what is surely there is taught as sure, the other classes by their share of it.
    classes = np.clip(scores / np.maximum(top[:, None], 1e-6) * np.clip(0.5 + top[:, None], 0, 1), 0, 1)
    known = np.ones_like(classes)
    heavy = np.isin(best, [LABELS.index("truck"), LABELS.index("bus")])
    known[heavy, LABELS.index("fire_engine")] = 0.0
    return joined([given, Targets(boxes, classes.astype(np.float32), known.astype(np.float32), solid)])


def teach(teacher: Teacher, picture: Picture, cache: Path) -> Targets:
    """What one picture teaches, from the cache if it is there."""
    path = cache / picture.source.name / f"{picture.path.stem}.npz"
    if path.exists():
        with np.load(path) as stored:
            return Targets(stored["boxes"], stored["classes"], stored["known"], stored["solid"])
    image = picture.load()
    targets = picture.labels(image)
    if not picture.source.complete:
        targets = combine(targets, picture, *teacher.look(image))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez(part, boxes=targets.boxes, classes=targets.classes, known=targets.known, solid=targets.solid)
    part.replace(path)
    return targets
