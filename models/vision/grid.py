"""The cells of the feature maps that a network without anchors predicts from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def cells(width: int, height: int, strides: Sequence[int]) -> NDArray[np.float32]:
    """Column, row and stride of each cell (n x 3), stride by stride, row by row. A map that does not fit in whole cells
    has one more."""
    maps = []
    for stride in strides:
        rows, columns = np.mgrid[0 : -(-height // stride), 0 : -(-width // stride)]
        maps.append(np.stack([columns.ravel(), rows.ravel(), np.full(rows.size, stride)], axis=1))
    return np.concatenate(maps).astype(np.float32)
