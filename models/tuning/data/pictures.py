"""Pictures as a network takes them: batch x channels x height x width."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from models.tuning.graph import Array, Shape

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
# byte: 0..255; unit: 0..1; imagenet: 0..1 less the mean of ImageNet, over its deviation.
Pixels = Literal["byte", "unit", "imagenet"]
_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def read_picture(path: Path, shape: Shape, pixels: Pixels) -> Array:
    """shape: channels (1 or 3, then RGB), height, width. Its middle, scaled. ValueError if it is none."""
    channels, high, wide = shape
    data = np.fromfile(path, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise ValueError("it is no whole picture")
    scale = max(high / image.shape[0], wide / image.shape[1])
    size = max(round(image.shape[1] * scale), wide), max(round(image.shape[0] * scale), high)
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (image.shape[0] - high) // 2, (image.shape[1] - wide) // 2
    cut: Array = image[top : top + high, left : left + wide].astype(np.float32)
    cut = cut[None] if channels == 1 else cut[:, :, ::-1].transpose(2, 0, 1)
    if pixels != "byte":
        cut = cut / 255
    if pixels == "imagenet":
        mean, deviation = (one[:channels].reshape(-1, 1, 1) for one in (_MEAN, _DEVIATION))
        cut = (cut - mean) / deviation
    return np.ascontiguousarray(cut, np.float32)
