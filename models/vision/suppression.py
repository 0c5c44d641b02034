"""Of boxes that show one thing, keep the surest (non-maximum suppression, greedy)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# What overlaps another box by more than this shows the same thing, as figures count it.
OVERLAP = 0.5
# More than a street ever holds; it bounds time and memory whatever a network gives.
MOST = 1000


def overlaps(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """Intersection over union of each of n boxes with each of m: n x m, 0..1. Boxes: left, top, right, bottom."""
    across = np.minimum(one[:, None, 2], other[:, 2]) - np.maximum(one[:, None, 0], other[:, 0])
    down = np.minimum(one[:, None, 3], other[:, 3]) - np.maximum(one[:, None, 1], other[:, 1])
    shared = np.maximum(across, 0) * np.maximum(down, 0)
    union = _areas(one)[:, None] + _areas(other) - shared
    share: NDArray[Any] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return share


def suppress(
    boxes: NDArray[Any], scores: NDArray[Any], classes: NDArray[Any] | None = None, overlap: float = OVERLAP
) -> NDArray[np.intp]:
    """Which of n boxes to keep, the surest first; at most MOST. A box goes when a surer one of its class covers it by
    more than `overlap`; without classes, any surer one does. Of equal scores the earlier box is the surer."""
    order = np.argsort(-scores, kind="stable")[:MOST]
    covered = overlaps(boxes[order], boxes[order]) > overlap
    if classes is not None:
        covered &= classes[order, None] == classes[order]
    alive = np.ones(len(order), bool)
    for number in range(len(order)):
        if alive[number]:
            alive[number + 1 :] &= ~covered[number, number + 1 :]
    return order[alive]


def _areas(boxes: NDArray[Any]) -> NDArray[Any]:
    areas: NDArray[Any] = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas
