"""Of boxes that show one thing, keep the surest (non-maximum suppression, greedy)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# What overlaps another box by more than this shows the same thing, as figures count it.
OVERLAP = 0.5
# More than a street ever holds; it bounds time and memory whatever a network gives.
MOST = 1000
# Boxes compared with one another at once; what they cover of the rest needs no comparing any more.
BLOCK = 128


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
    boxes, areas = boxes[order], _areas(boxes[order])
    group = np.zeros(len(order), np.intp) if classes is None else classes[order]

    def covers(some: NDArray[np.intp], others: NDArray[np.intp]) -> NDArray[np.bool_]:
        low = [np.maximum.outer(boxes[some, side], boxes[others, side]) for side in (0, 1)]
        shared, down = (np.minimum.outer(boxes[some, side], boxes[others, side]) - low[side - 2] for side in (2, 3))
        shared = np.maximum(shared, 0, out=shared) * np.maximum(down, 0, out=down)
        # shared / (both areas - shared) > overlap, without a division for each pair.
        covered = shared * (1 + overlap) > np.add.outer(areas[some], areas[others]) * overlap
        same: NDArray[np.bool_] = covered & np.equal.outer(group[some], group[others])
        return same

    kept: list[NDArray[np.intp]] = []
    left = np.arange(len(order))
    while len(left):
        block, left = left[:BLOCK], left[BLOCK:]
        covered, alive = covers(block, block), np.ones(len(block), bool)
        for number in range(len(block)):
            if alive[number]:
                alive[number + 1 :] &= ~covered[number, number + 1 :]
        kept.append(block[alive])
        left = left[~covers(kept[-1], left).any(axis=0)]
    surest: NDArray[np.intp] = order[np.concatenate([np.empty(0, np.intp), *kept])]
    return surest


def _areas(boxes: NDArray[Any]) -> NDArray[Any]:
    areas: NDArray[Any] = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas
