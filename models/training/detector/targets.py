"""What a picture teaches: boxes with soft classes, and boxes about which nothing is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.vision.detector import LABELS, Label

Array = NDArray[np.float32]
# Boxes smaller than this after scaling, in pixels of the network's input, are neither taught nor punished.
LEAST_PX = 5.0
# Of a box that the picture's edge cuts: less than this share of it left, and it is neither taught nor punished.
LEAST_SHARE = 0.35


@dataclass(frozen=True)
class Targets:
    """boxes: (n, 4) left, top, right, bottom in pixels. classes: (n, labels) wanted scores, 0..1. known: (n, labels) 1
    where the score is known, 0 where its loss is masked. solid: (n,) True for objects, False for regions in which
    objectness is not punished either (there may be something)."""

    boxes: Array
    classes: Array
    known: Array
    solid: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.boxes)

    def keep(self, chosen: NDArray[np.bool_]) -> Targets:
        return Targets(self.boxes[chosen], self.classes[chosen], self.known[chosen], self.solid[chosen])

    def soften(self, doubtful: NDArray[np.bool_]) -> Targets:
        """The same, with the doubtful ones no longer solid."""
        return Targets(self.boxes, self.classes, self.known, self.solid & ~doubtful)

    def moved(self, affine: NDArray[np.float64], width: int, height: int) -> Targets:
        """After the picture went through a 2 x 3 affine map without rotation (scale, flip, shift) into width x height.
        Boxes outside are dropped; those that are tiny or mostly cut away are no longer solid."""
        if not len(self):
            return self
        x = self.boxes[:, 0::2] * affine[0, 0] + affine[0, 2]
        y = self.boxes[:, 1::2] * affine[1, 1] + affine[1, 2]
        whole = np.stack([x.min(1), y.min(1), x.max(1), y.max(1)], axis=1)
        cut = np.clip(whole, 0, [width, height, width, height])
        sides = cut[:, 2:] - cut[:, :2]
        share = sides.prod(1) / np.maximum((whole[:, 2:] - whole[:, :2]).prod(1), 1e-6)
        placed = Targets(cut.astype(np.float32), self.classes, self.known, self.solid)
        return placed.soften((sides.min(1) < LEAST_PX) | (share < LEAST_SHARE)).keep(sides.min(1) > 0)


def none() -> Targets:
    empty = np.zeros((0, len(LABELS)), np.float32)
    return Targets(np.zeros((0, 4), np.float32), empty, empty, np.zeros(0, bool))


def hard(boxes: Array, labels: Sequence[Label]) -> Targets:
    """Objects whose class is certain."""
    classes = np.zeros((len(labels), len(LABELS)), np.float32)
    classes[np.arange(len(labels)), [LABELS.index(label) for label in labels]] = 1.0
    return Targets(boxes.reshape(-1, 4).astype(np.float32), classes, np.ones_like(classes), np.ones(len(labels), bool))


def joined(parts: Sequence[Targets]) -> Targets:
    if not parts:
        return none()
    return Targets(
        np.concatenate([one.boxes for one in parts]),
        np.concatenate([one.classes for one in parts]),
        np.concatenate([one.known for one in parts]),
        np.concatenate([one.solid for one in parts]),
    )


def overlaps(a: Array, b: Array) -> tuple[Array, Array]:
    """(n, 4) and (m, 4) to intersection over union and intersection over a's own area, both (n, m)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inside = np.clip(high - low, 0, None).prod(2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    union = area_a[:, None] + area_b[None] - inside
    return inside / np.maximum(union, 1e-6), inside / np.maximum(area_a[:, None], 1e-6)
