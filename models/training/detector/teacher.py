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
from models.training.detector.pseudo_labels import combine, merge, suppress
from models.training.detector.targets import Array, Targets
from models.vision.detector import LABELS, Label

# Longer side in pixels, and whether mirrored.
VIEWS = ((416, False), (640, True), (800, False))
TAUGHT: tuple[Label, ...] = ("car", "bus", "truck", "motorcycle", "bicycle", "person")
_COLUMNS = [LABELS.index(label) for label in TAUGHT]
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


def teach(teacher: Teacher, picture: Picture, cache: Path) -> Targets:
    """What one picture teaches, from the cache if it is there."""
    path = cache / picture.source.name / f"{picture.path.stem}.npz"
    if path.exists():
        with np.load(path) as stored:
            return Targets(stored["boxes"], stored["classes"], stored["known"], stored["solid"])
    image = picture.load()
    targets = picture.labels(image)
    if not picture.source.complete:
        targets = combine(targets, *teacher.look(image))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez(part, boxes=targets.boxes, classes=targets.classes, known=targets.known, solid=targets.solid)
    part.replace(path)
    return targets
