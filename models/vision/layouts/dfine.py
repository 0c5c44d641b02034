"""D-FINE (Peng et al., 2024, arXiv 2410.13842) as its own export writes it; RT-DETR's is the same.

Inputs: images 1 x 3 x height x width, RGB 0..1, the picture stretched to it; orig_target_sizes 1 x 2, width and height
in which boxes are told. Outputs: labels 1 x n, boxes 1 x n x 4 (left, top, right, bottom), scores 1 x n.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.vision.layout import Feeds, Found
from models.vision.letterbox import Placement, Stretch
from models.vision.onnx_model import Arrays, Signature


def recognise(signature: Signature) -> bool:
    if signature.picture is None or len(signature.inputs) != 2 or len(signature.outputs) != 3:
        return False
    size = next(one for one in signature.inputs if one != signature.picture)
    return size.shape == (1, 2) and _order(signature) is not None


def classes(signature: Signature) -> None:
    """Its outputs name classes, and don't tell how many there are."""


def reader(signature: Signature, columns: NDArray[np.intp]) -> Dfine:
    return Dfine(signature, columns)


class Dfine:
    def __init__(self, signature: Signature, columns: NDArray[np.intp]) -> None:
        picture, order = signature.picture, _order(signature)
        assert picture is not None
        assert order is not None
        size = next(one for one in signature.inputs if one != picture)
        height, width = picture.shape[2:]
        self._name = picture.name
        self._input = Stretch(width, height, deviation=(255, 255, 255), rgb=True)
        self._size = {size.name: np.array([[width, height]], size.kind)}
        self._labels, self._boxes, self._scores = order
        self._columns = columns

    def feeds(self, image: NDArray[Any]) -> tuple[Feeds, Placement]:
        blob, placement = self._input.place(image)
        return {self._name: blob, **self._size}, placement

    def found(self, outputs: Arrays, least_score: float) -> Found:
        scores, numbers = outputs[self._scores][0], outputs[self._labels][0]
        asked = numbers[:, None] == self._columns
        here = (scores >= least_score) & asked.any(axis=1)
        return Found(outputs[self._boxes][0][here], scores[here], asked[here].argmax(axis=1))


def _order(signature: Signature) -> tuple[int, int, int] | None:
    """Where labels, boxes and scores stand among the outputs."""
    boxes = [place for place, one in enumerate(signature.outputs) if len(one.shape) == 3 and one.shape[2] == 4]
    if len(boxes) != 1:
        return None
    shape = signature.outputs[boxes[0]].shape[:2]
    flat = [place for place, one in enumerate(signature.outputs) if one.shape == shape]
    labels = [place for place in flat if signature.outputs[place].kind.kind == "i"]
    scores = [place for place in flat if signature.outputs[place].kind.kind == "f"]
    return (labels[0], boxes[0], scores[0]) if len(labels) == len(scores) == 1 else None
