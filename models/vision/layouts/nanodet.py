"""NanoDet-Plus (RangiLyu, 2021), on generalised focal loss (Li et al., 2020, arXiv 2006.04388, section 3).

Input: 1 x 3 x height x width, BGR, less ImageNet's mean and by its deviation; the picture is stretched to it. Output:
1 x cells x (classes + 4 * 8): class scores through the sigmoid, then for left, top, right and bottom the logits of a
distribution over 0..7 strides from the cell's corner, whose mean is the distance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.vision.grid import cells
from models.vision.layout import Feeds, Found
from models.vision.letterbox import Placement, Stretch
from models.vision.onnx_model import Arrays, Signature

STRIDES = (8, 16, 32, 64)
BINS = 8
MEAN, DEVIATION = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)


def recognise(signature: Signature) -> bool:
    picture = signature.picture
    if picture is None or len(signature.inputs) != 1 or len(signature.outputs) != 1:
        return False
    shape = signature.outputs[0].shape
    height, width = picture.shape[2:]
    return len(shape) == 3 and shape[2] > 4 * BINS and shape[1] == len(cells(width, height, STRIDES))


def classes(signature: Signature) -> int:
    return signature.outputs[0].shape[2] - 4 * BINS


def reader(signature: Signature, columns: NDArray[np.intp]) -> Nanodet:
    return Nanodet(signature, columns)


class Nanodet:
    def __init__(self, signature: Signature, columns: NDArray[np.intp]) -> None:
        height, width = signature.inputs[0].shape[2:]
        self._name = signature.inputs[0].name
        self._input = Stretch(width, height, MEAN, DEVIATION)
        self._columns = columns
        grid = cells(width, height, STRIDES)
        self._corners, self._strides = grid[:, :2] * grid[:, 2:], grid[:, 2:]

    def feeds(self, image: NDArray[Any]) -> tuple[Feeds, Placement]:
        blob, placement = self._input.place(image)
        return {self._name: blob}, placement

    def found(self, outputs: Arrays, least_score: float) -> Found:
        rows = outputs[0][0]
        given = rows[:, self._columns]
        best = given.argmax(axis=1)
        scores = given[np.arange(len(given)), best]
        here = np.flatnonzero(scores >= least_score)
        logits = rows[here, -4 * BINS :].reshape(-1, 4, BINS)
        weights = np.exp(logits - logits.max(axis=2, keepdims=True))
        strides = weights @ np.arange(BINS, dtype=np.float32) / weights.sum(axis=2)
        distances = strides * self._strides[here]
        corners = self._corners[here]
        boxes = np.hstack([corners - distances[:, :2], corners + distances[:, 2:]])
        return Found(boxes, scores[here], best[here])
