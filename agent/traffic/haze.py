"""How thick the air is, from one small picture: the extinction that makes the road fade with distance.

The dark channel (He, Sun and Tang 2009) gives the air's transmission t at each place; Koschmieder's law t = exp(-b d)
makes one number b of it, the slope of its logarithm over the known distance along the road. Grey asphalt, which the
dark channel takes for haze, is alike near and far and so leaves no slope. Edges at distance d are then weaker by
exp(-b d), which is all that dehazing them has to undo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SMALL = (160, 90)
THICKEST_PER_M = 0.05
_WINDOW = np.ones((3, 3), np.uint8)
_KEPT_HAZE = 0.95
_MEMORY_S = 15.0
_AIR_PERCENTILE = 99.0


@dataclass(frozen=True)
class Samples:
    """Places on the road in the small picture: columns and rows (n, k) for n distances; distance_m (n,)."""

    columns: NDArray[np.intp]
    rows: NDArray[np.intp]
    distance_m: NDArray[np.float64]


def extinction(small: NDArray[Any], samples: Samples) -> float:
    """1/m, 0 in clear air, from a BGR picture of SMALL; THICKEST_PER_M at most."""
    blue, green, red = cv2.split(small)
    dark = cv2.erode(cv2.min(cv2.min(blue, green), red), _WINDOW)
    air = max(float(np.percentile(dark, _AIR_PERCENTILE)), 1.0)
    if len(samples.distance_m) < 3:
        return 0.0
    seen = np.median(dark[samples.rows, samples.columns], axis=1)
    through = np.log(np.clip(1 - _KEPT_HAZE * seen / air, 0.05, 1.0))
    slope = float(np.polyfit(samples.distance_m, through, 1)[0])
    return float(np.clip(-slope, 0.0, THICKEST_PER_M))


def followed(before: float | None, now: float, elapsed_s: float) -> float:
    """Air changes slowly: exponential memory."""
    return now if before is None else before + (now - before) * (1 - float(np.exp(-elapsed_s / _MEMORY_S)))
