"""YOLOX (Ge et al., 2021, arXiv 2107.08430).

Input: 1 x 3 x height x width, BGR 0..255. Output: 1 x cells x (5 + classes).

A row is x, y, w, h, objectness, classes, the last two already through the sigmoid. Exported as usual, a centre is
(x + column, y + row) * stride and a size exp(w, h) * stride; exported with its decoding, both are in pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.vision.grid import cells
from models.vision.layout import Feeds, Found
from models.vision.letterbox import Letterbox, Placement
from models.vision.onnx_model import Arrays, Signature

STRIDES = (8, 16, 32)
# exp of more is wider than any picture, and would overflow.
LARGEST_LOG = 10.0


def recognise(signature: Signature) -> bool:
    picture = signature.picture
    if picture is None or len(signature.inputs) != 1 or len(signature.outputs) != 1:
        return False
    shape = signature.outputs[0].shape
    height, width = picture.shape[2:]
    return len(shape) == 3 and shape[2] > 5 and shape[1] == len(cells(width, height, STRIDES))


def classes(signature: Signature) -> int:
    return signature.outputs[0].shape[2] - 5


def reader(signature: Signature, columns: NDArray[np.intp]) -> Yolox:
    return Yolox(signature, columns)


def is_decoded(signature: Signature) -> bool:
    """Whether its boxes are in pixels. Either way most middles lie near their cell's own: the reading under which they
    do is the right one. (A few cells that nothing was ever asked of may say anything.)"""
    height, width = signature.inputs[0].shape[2:]
    grid, given = cells(width, height, STRIDES), signature.sample[0][0, :, :2]
    as_raw = np.abs(given - 0.5) * grid[:, 2:]
    as_pixels = np.abs(given - (grid[:, :2] + 0.5) * grid[:, 2:])
    return bool(np.median(as_pixels) < np.median(as_raw))


def found(
    rows: NDArray[Any], grid: NDArray[np.float32], columns: NDArray[np.intp], decoded: bool, least_score: float
) -> Found:
    """rows: cells x (5 + classes), of one picture. grid: of models.vision.grid. columns: the classes asked for."""
    # Few cells hold anything, and no score exceeds its cell's objectness.
    here = np.flatnonzero(rows[:, 4] >= least_score)
    given = rows[here][:, columns + 5]
    best = given.argmax(axis=1)
    scores = given[np.arange(len(here)), best] * rows[here, 4]
    sure = scores >= least_score
    here = here[sure]
    if decoded:
        centres, halves = rows[here, :2], rows[here, 2:4] / 2
    else:
        centres = (rows[here, :2] + grid[here, :2]) * grid[here, 2:]
        halves = np.exp(np.minimum(rows[here, 2:4], LARGEST_LOG)) * (grid[here, 2:] / 2)
    return Found(np.hstack([centres - halves, centres + halves]), scores[sure], best[sure])


class Yolox:
    def __init__(self, signature: Signature, columns: NDArray[np.intp]) -> None:
        height, width = signature.inputs[0].shape[2:]
        self._name = signature.inputs[0].name
        self._input = Letterbox(width, height)
        self._columns = columns
        self._grid = cells(width, height, STRIDES)
        self._decoded = is_decoded(signature)

    def feeds(self, image: NDArray[Any]) -> tuple[Feeds, Placement]:
        blob, placement = self._input.place(image)
        return {self._name: blob}, placement

    def found(self, outputs: Arrays, least_score: float) -> Found:
        return found(outputs[0][0], self._grid, self._columns, self._decoded, least_score)
