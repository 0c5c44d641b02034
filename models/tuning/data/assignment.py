"""Which cells of a detector without anchors stand for which object, decided from the labels alone. Pure.

As FCOS does it (Tian and others 2019, arXiv 1904.01355, sections 3.1 and 3.2, with the sampling round the middle that
its authors added afterwards, arXiv 2006.09214, section 3.2): a cell stands for an object when its middle lies within
the box and near the box's middle, and when the farthest side of the box is as far as cells of its stride look after; of
several objects the smallest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.tuning.losses.detection import row_length

Floats = NDArray[np.float32]
# How far from a box's middle a cell may stand, in strides.
RADIUS = 1.5
# Upper ends of how far a side may be, in pixels, of all strides but the last: 64 for 8, 128 for 16, as in section 3.2.
REACH_STRIDES = 8.0
# What is smaller in the network's input can't be told from noise.
LEAST_PX = 2.0


def assigned(boxes: Floats, classes: NDArray[np.intp], grid: Floats, count: int) -> Floats:
    """boxes: n x 4 (left, top, right, bottom in the input's pixels). classes: of each, -1 for one that the network does
    not tell apart. grid: cells x 3 (models.vision.grid). count: the network's classes.

    Gives cells x row_length(count). A cell within a box that another stride looks after does not count: what it says
    there is neither asked for nor wrong. Nor does a cell in a box that is unknown or too small. An object so small that
    no cell's middle lies in it takes the cell that it lies in.
    """
    rows = np.zeros((len(grid), row_length(count)), np.float32)
    rows[:, 5 + count] = 1.0
    if not len(boxes):
        return rows
    middles, strides = (grid[:, :2] + 0.5) * grid[:, 2:], grid[:, 2]
    sides = np.concatenate([middles[:, None] - boxes[None, :, :2], boxes[None, :, 2:] - middles[:, None]], 2)
    centres: Floats = (boxes[:, :2] + boxes[:, 2:]) / np.float32(2)
    sizes = boxes[:, 2:] - boxes[:, :2]
    off = np.abs(middles[:, None] - centres[None]).max(2)
    within = sides.min(2) > 0
    known = (classes >= 0) & (sizes.min(1) >= LEAST_PX)
    near = within & (off < RADIUS * strides[:, None])
    taken = near & _looked_after(sides.max(2), strides) & known
    _smallest(taken, centres, sizes, known, grid)
    rows[(near & known).any(1) | (within & ~known).any(1), 5 + count] = 0.0
    areas = np.where(taken, sizes.prod(1)[None], np.inf)
    cells = np.flatnonzero(taken.any(1))
    owners = areas[cells].argmin(1)
    rows[cells, :4] = boxes[owners]
    rows[cells, 4] = 1.0
    rows[cells, 5 + classes[owners]] = 1.0
    rows[cells, 5 + count :] = 1.0
    return rows


def _looked_after(farthest: Floats, strides: Floats) -> NDArray[np.bool_]:
    """Whether a cell's stride is the one for a side so far away; farthest and strides broadcast, cells first."""
    known = np.unique(strides)
    ends = np.append(known[:-1] * REACH_STRIDES, np.inf)
    level = np.searchsorted(known, strides)
    starts = np.concatenate([[0.0], ends[:-1]])
    after: NDArray[np.bool_] = (farthest > starts[level][:, None]) & (farthest <= ends[level][:, None])
    return after


def _smallest(taken: NDArray[np.bool_], centres: Floats, sizes: Floats, known: NDArray[np.bool_], grid: Floats) -> None:
    """Gives each object that has no cell the one that its middle lies in, at the stride that looks after its size."""
    strides = np.unique(grid[:, 2])
    for number in np.flatnonzero(known & ~taken.any(0)):
        ends = np.append(strides[:-1] * REACH_STRIDES, np.inf)
        stride = strides[np.searchsorted(ends, sizes[number].max() / 2)]
        here = np.flatnonzero(grid[:, 2] == stride)
        off = np.abs((grid[here, :2] + 0.5) * stride - centres[number]).max(1)
        taken[here[off.argmin()], number] = True
