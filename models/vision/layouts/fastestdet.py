"""FastestDet (dog-qiuqiu, 2022).

Input: 1 x 3 x height x width, BGR 0..1; the picture is stretched to it. Output: 1 x (5 + classes) x rows x columns on
one map of stride 16: objectness, x, y, w, h, classes. A middle is (column + tanh x, row + tanh y) in cells, a size the
sigmoid of w, h as a share of the input, and a score objectness ** 0.6 * class ** 0.4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.vision.grid import cells
from models.vision.layout import Feeds, Found
from models.vision.letterbox import Placement, Stretch
from models.vision.onnx_model import Arrays, Signature

STRIDE = 16


def recognise(signature: Signature) -> bool:
    picture = signature.picture
    if picture is None or len(signature.inputs) != 1 or len(signature.outputs) != 1:
        return False
    shape = signature.outputs[0].shape
    height, width = picture.shape[2:]
    return len(shape) == 4 and shape[1] > 5 and shape[2:] == (height // STRIDE, width // STRIDE)


def classes(signature: Signature) -> int:
    return signature.outputs[0].shape[1] - 5


def reader(signature: Signature, columns: NDArray[np.intp]) -> Fastestdet:
    return Fastestdet(signature, columns)


class Fastestdet:
    def __init__(self, signature: Signature, columns: NDArray[np.intp]) -> None:
        height, width = signature.inputs[0].shape[2:]
        self._name = signature.inputs[0].name
        self._input = Stretch(width, height, deviation=(255, 255, 255))
        self._columns = columns + 5
        self._cells = cells(width, height, (STRIDE,))[:, :2]
        self._size = np.array([width, height], np.float32)

    def feeds(self, image: NDArray[Any]) -> tuple[Feeds, Placement]:
        blob, placement = self._input.place(image)
        return {self._name: blob}, placement

    def found(self, outputs: Arrays, least_score: float) -> Found:
        rows = outputs[0][0].reshape(outputs[0].shape[1], -1).T
        here = np.flatnonzero(rows[:, 0] ** 0.6 >= least_score)
        given = rows[here][:, self._columns]
        best = given.argmax(axis=1)
        scores = rows[here, 0] ** 0.6 * given[np.arange(len(here)), best] ** 0.4
        sure = scores >= least_score
        here = here[sure]
        middles = (self._cells[here] + np.tanh(rows[here, 1:3])) * STRIDE
        halves = self._size / (1 + np.exp(-np.clip(rows[here, 3:5], -30, 30))) / 2
        return Found(np.hstack([middles - halves, middles + halves]), scores[sure], best[sure])
