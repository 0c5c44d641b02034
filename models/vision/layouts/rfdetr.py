"""RF-DETR (Robinson et al., 2025, arXiv 2511.09554) as its own export writes it.

Input: 1 x 3 x height x width, RGB, less ImageNet's mean and by its deviation; the picture is stretched to it. Outputs:
dets 1 x n x 4 (middle x and y, width, height, as shares of the input), labels 1 x n x classes (before the sigmoid).
Those trained on COCO have 91 classes, by COCO's own ids.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.vision.layout import Feeds, Found
from models.vision.letterbox import Placement, Stretch
from models.vision.onnx_model import Arrays, Signature

MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def recognise(signature: Signature) -> bool:
    if signature.picture is None or len(signature.inputs) != 1 or len(signature.outputs) != 2:
        return False
    boxes, logits = (one.shape for one in signature.outputs)
    return len(boxes) == len(logits) == 3 and boxes[2] == 4 and boxes[:2] == logits[:2]


def classes(signature: Signature) -> int:
    return signature.outputs[1].shape[2]


def reader(signature: Signature, columns: NDArray[np.intp]) -> Rfdetr:
    return Rfdetr(signature, columns)


class Rfdetr:
    def __init__(self, signature: Signature, columns: NDArray[np.intp]) -> None:
        height, width = signature.inputs[0].shape[2:]
        self._name = signature.inputs[0].name
        self._input = Stretch(width, height, MEAN, DEVIATION, rgb=True)
        self._size = np.array([width, height], np.float32)
        self._columns = columns

    def feeds(self, image: NDArray[Any]) -> tuple[Feeds, Placement]:
        blob, placement = self._input.place(image)
        return {self._name: blob}, placement

    def found(self, outputs: Arrays, least_score: float) -> Found:
        given = outputs[1][0][:, self._columns]
        best = given.argmax(axis=1)
        scores = 1 / (1 + np.exp(-np.clip(given[np.arange(len(given)), best], -30, 30)))
        here = np.flatnonzero(scores >= least_score)
        middles, sizes = outputs[0][0][here, :2] * self._size, outputs[0][0][here, 2:] * self._size
        boxes = np.hstack([middles - sizes / 2, middles + sizes / 2])
        return Found(boxes, scores[here], best[here])
