"""Boxes in a picture: left, top, right, bottom in pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.traffic.track import Box


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def overlaps(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of n and m boxes, n x m."""
    low = np.maximum(ours[:, None, :2], theirs[None, :, :2])
    high = np.minimum(ours[:, None, 2:], theirs[None, :, 2:])
    shared = np.maximum(0.0, high - low).prod(axis=2)
    areas = (ours[:, 2:] - ours[:, :2]).prod(axis=1)[:, None] + (theirs[:, 2:] - theirs[:, :2]).prod(axis=1)[None, :]
    return np.asarray(shared / (areas - shared))


def grown(box: Box, share: float) -> Box:
    """The box with this share of its size added on each side."""
    w, h = share * (box[2] - box[0]), share * (box[3] - box[1])
    return box[0] - w, box[1] - h, box[2] + w, box[3] + h


def covered(part: Box, box: Box) -> float:
    """The share of part that lies under box."""
    w, h = min(box[2], part[2]) - max(box[0], part[0]), min(box[3], part[3]) - max(box[1], part[1])
    return w * h / ((part[2] - part[0]) * (part[3] - part[1])) if w > 0 and h > 0 else 0.0


def within(box: Box, picture: tuple[int, int]) -> Box:
    """What of a box lies within a picture of this width and height; empty (right <= left) where nothing does."""
    return max(0.0, box[0]), max(0.0, box[1]), min(float(picture[0]), box[2]), min(float(picture[1]), box[3])
