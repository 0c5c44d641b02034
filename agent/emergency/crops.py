"""Pictures of one track, laid over the path that its box took rather than over each box.

A detector's box sways: it takes in what stands behind, or a lamp's light. What a vehicle is painted with then comes and
goes in a cell of the box, in the rhythm of whatever moved it. A vehicle has mass: over some seconds its box follows few
numbers. So a crop wider than its box is kept of each picture, and the cells are cut from it once the path is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

GRID = 12
# Rows that can hold a beacon: below them are lamps of every vehicle, indicators and their mirrors on a wet road.
ROWS = 6
# Cells around those, in which nothing is looked for: they tell a lamp that flashes from one that moves in and out.
MARGIN = 2
_ABOVE, _BESIDE = 0.14, 0.06
# How far a box may be off its path, as a share of its size; and the cells that a crop has across and down.
_OFF = 0.25
_FINE = (32, 28)
# Below so long or so few pictures a path bends no more than once.
_BENDS_AFTER_S, _BENDS_AFTER = 1.2, 12

Array = NDArray[np.float64]
Grid = NDArray[Any]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Crop:
    """cells: (28, 32, 3) float32, the picture within region (left, top, right, bottom in pixels), which holds the box
    and what is around it as far as the picture goes."""

    cells: Grid
    region: Box
    box: Box


def crop_of(image: NDArray[Any], box: Box, gain: float) -> Crop | None:
    """None for a box of less than 6 pixels, or of which next to nothing is within the picture.

    gain: the picture's own brightness over its usual one, which is divided out (exposure, mains flicker)."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    if width < 6 or height < 6:
        return None
    columns, rows = (axis[0] for axis in _edges(np.array([box])))
    x0, x1 = int(max(0.0, columns[0] - _OFF * width)), int(min(image.shape[1], columns[-1] + _OFF * width + 1))
    y0, y1 = int(max(0.0, rows[0] - _OFF * height)), int(min(image.shape[0], rows[-1] + _OFF * height + 1))
    if x1 - x0 < 4 or y1 - y0 < 4:
        return None
    fine = cv2.resize(image[y0:y1, x0:x1], _FINE, interpolation=cv2.INTER_AREA).astype(np.float32)
    return Crop(fine / np.float32(max(0.2, gain)), (float(x0), float(y0), float(x1), float(y1)), box)


def laid(crops: tuple[Crop, ...], times_s: Array) -> Grid:
    """(n, ROWS + 2 MARGIN, GRID + 2 MARGIN, 3) float32: of each picture what a beacon on this vehicle could light, and
    what is around it."""
    columns, rows = _edges(path(np.array([one.box for one in crops]), times_s))
    regions = np.array([one.region for one in crops])
    across = _shares(columns, regions[:, 0], regions[:, 2], _FINE[0])
    down = _shares(rows, regions[:, 1], regions[:, 3], _FINE[1])
    cells = np.stack([one.cells for one in crops])
    n, fine_rows, fine_columns, colours = cells.shape
    lines = (down @ cells.reshape(n, fine_rows, fine_columns * colours)).reshape(n, -1, fine_columns, colours)
    found: Grid = across[:, None] @ lines
    return found


def path(boxes: Array, times_s: Array) -> Array:
    """boxes: (n, 4). The same on the path that they lie about: sizes by a parabola of their logarithms, the middle by a
    parabola and by the size, with which it moves in a straight line for whatever drives straight on (perspective)."""
    span = max(1e-6, float(np.ptp(times_s)))
    at = (times_s - times_s.mean()) / span
    bends = span >= _BENDS_AFTER_S and len(at) >= _BENDS_AFTER
    terms = [np.ones(len(at)), at, at * at] if bends else [np.ones(len(at)), at]
    sizes = np.maximum(1.0, np.stack([boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]], axis=1))
    smooth = np.exp(_fitted(terms, np.log(sizes)))
    near = smooth[:, 1] / smooth[:, 1].mean() - 1
    middles = np.stack([boxes[:, 0] + boxes[:, 2], boxes[:, 1] + boxes[:, 3]], axis=1) / 2
    middles = _fitted([*terms, near], middles)
    return np.concatenate([middles - smooth / 2, middles + smooth / 2], axis=1)


def _fitted(terms: list[Array], values: Array) -> Array:
    design = np.stack(terms, axis=1)
    found, *_ = np.linalg.lstsq(design, values, rcond=1e-3)
    fitted: Array = design @ found
    return fitted


def _edges(boxes: Array) -> tuple[Array, Array]:
    """Pixels at which the cells of each box begin and end: (n, GRID + 2 MARGIN + 1), (n, ROWS + 2 MARGIN + 1)."""
    left, top, right, bottom = boxes.T[:, :, None]
    width, height = right - left, bottom - top
    above = np.maximum(3.0, _ABOVE * height)
    across, down = ((1 + 2 * _BESIDE) * width + 1) / GRID, (height + above + 1) / GRID
    columns = left - _BESIDE * width + across * np.arange(-MARGIN, GRID + MARGIN + 1)
    return columns, top - above + down * np.arange(-MARGIN, ROWS + MARGIN + 1)


def _shares(edges: Array, low: Array, high: Array, count: int) -> Grid:
    """(n, cells, count) float32: how much of each cell lies in each of count equal parts of low..high. A cell that lies
    beyond them is given the nearest part."""
    places = (edges - low[:, None]) / (high - low)[:, None] * count
    begin = np.minimum(np.clip(places[:, :-1], 0, count), count - 1e-3)[..., None]
    end = np.maximum(np.clip(places[:, 1:], 0, count)[..., None], begin + 1e-3)
    parts = np.arange(count)
    covered = np.clip(np.minimum(end, parts + 1) - np.maximum(begin, parts), 0, None)
    shares: Grid = (covered / covered.sum(axis=-1, keepdims=True)).astype(np.float32)
    return shares
