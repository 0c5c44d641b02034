"""A network behind the port of a detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.vision.detector import Detection, Label
from models.vision.layout import Reader
from models.vision.onnx_model import OnnxModel
from models.vision.suppression import suppress

# In the picture's pixels: what is thinner was cut off at its edge, or is nothing.
THINNEST_PX = 1.0


class OnnxDetector:
    """labels: what each class of the reader means. thresholds: from which score a label counts as found in service.
    least_score: of what detect() gives. overlap: above it, the less sure of two boxes of one label goes."""

    def __init__(
        self,
        model: OnnxModel,
        reader: Reader,
        labels: Sequence[Label],
        *,
        name: str,
        thresholds: Mapping[Label, float],
        synthetic_only: frozenset[Label],
        least_score: float,
        overlap: float,
    ) -> None:
        self.name = name
        self.thresholds = MappingProxyType(dict(thresholds))
        self.synthetic_only = synthetic_only
        self.labels = frozenset(labels)
        self._model, self._reader = model, reader
        self._least_score, self._overlap = least_score, overlap
        self._told = tuple(dict.fromkeys(labels))
        # Several classes may mean one label.
        self._label_of_class = np.array([self._told.index(label) for label in labels], np.intp)

    def detect(self, image: NDArray[Any]) -> tuple[Detection, ...]:
        """What it finds in a BGR uint8 picture, height x width x 3 of any size, the surest first.
        Raises ValueError for what is no such picture."""
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ValueError(f"a picture is height x width x 3 of uint8, not {image.shape} of {image.dtype}")
        feeds, placement = self._reader.feeds(image)
        found = self._reader.found(self._model.run(feeds), self._least_score)
        boxes = placement.back(found.boxes)
        there = ((boxes[:, 2:] - boxes[:, :2]) >= THINNEST_PX).all(axis=1)
        boxes, scores, labels = boxes[there], found.scores[there], self._label_of_class[found.classes[there]]
        kept = suppress(boxes, scores, labels, self._overlap)
        return tuple(
            Detection(self._told[label], score, (box[0], box[1], box[2], box[3]))
            for label, score, box in zip(
                labels[kept].tolist(), np.clip(scores[kept], 0, 1).tolist(), boxes[kept].tolist(), strict=True
            )
        )
