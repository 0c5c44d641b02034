"""The fitted softmax by which statistics of a picture tell the weather; weights/lanes.md says what it was fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WEIGHTS = Path(__file__).parent / "weights" / "weather.npz"


@dataclass(frozen=True)
class Softmax:
    """middle, spread: (statistics,), by which figures are standardised. weight: (classes, statistics). bias:
    (classes,)."""

    middle: NDArray[Any]
    spread: NDArray[Any]
    weight: NDArray[Any]
    bias: NDArray[Any]


@cache
def softmax() -> Softmax:
    with np.load(WEIGHTS) as stored:
        return Softmax(**{name: stored[name].astype(np.float64) for name in ("middle", "spread", "weight", "bias")})
