"""A picture brought to the size that a network takes, and its boxes brought back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
ROUNDING = 1e-6


@dataclass(frozen=True)
class Placement:
    """Where a picture lies in the network's input: input = picture * scale. width, height: of the picture in pixels."""

    width: int
    height: int
    scale_x: float
    scale_y: float

    def back(self, boxes: Floats) -> Floats:
        """Boxes (n x 4: left, top, right, bottom) from the input's pixels to the picture's, cut off at its edges."""
        scale = np.array([self.scale_x, self.scale_y] * 2, np.float32)
        edges = np.array([self.width, self.height] * 2, np.float32)
        placed: Floats = np.clip(boxes / scale, np.float32(0), edges)
        return placed


class Letterbox:
    """The picture at the top left, its shape kept, the rest filled: as YOLOX is trained."""

    def __init__(self, width: int, height: int, fill: int = 114) -> None:
        self._width, self._height, self._fill = width, height, fill
        self._blob = np.full((1, 3, height, width), fill, np.float32)
        self._filled = (width, height)

    def place(self, image: NDArray[Any]) -> tuple[Floats, Placement]:
        """The input (1 x 3 x height x width, float32, 0..255, channels as in the picture), good until the next call."""
        height, width = image.shape[:2]
        scale = min(self._width / width, self._height / height)
        # Whole pixels, rounded down as in training; 64 / 49 * 49 is 64 all the same.
        across, down = (max(1, int(side * scale + ROUNDING)) for side in (width, height))
        small = cv2.resize(image, (across, down), interpolation=cv2.INTER_LINEAR)
        if self._filled != (across, down):
            self._blob.fill(self._fill)
            self._filled = (across, down)
        for channel in range(3):
            self._blob[0, channel, :down, :across] = small[:, :, channel]
        return self._blob, Placement(width, height, across / width, down / height)


class Stretch:
    """The picture pulled to the whole input, its shape lost. The input is (picture - mean) / deviation, channel by
    channel in the input's order: the picture's, or with `rgb` the reverse."""

    def __init__(
        self,
        width: int,
        height: int,
        mean: tuple[float, float, float] = (0.0, 0.0, 0.0),
        deviation: tuple[float, float, float] = (1.0, 1.0, 1.0),
        rgb: bool = False,
    ) -> None:
        self._size = (width, height)
        self._blob = np.empty((1, 3, height, width), np.float32)
        self._mean = tuple(np.float32(one) for one in mean)
        self._factor = tuple(np.float32(1 / one) for one in deviation)
        self._order = (2, 1, 0) if rgb else (0, 1, 2)

    def place(self, image: NDArray[Any]) -> tuple[Floats, Placement]:
        height, width = image.shape[:2]
        small = cv2.resize(image, self._size, interpolation=cv2.INTER_LINEAR)
        for to, channel in enumerate(self._order):
            np.subtract(small[:, :, channel], self._mean[to], out=self._blob[0, to], dtype=np.float32)
            self._blob[0, to] *= self._factor[to]
        return self._blob, Placement(width, height, self._size[0] / width, self._size[1] / height)
