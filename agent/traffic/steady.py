"""Hold the picture still: by how much wind has moved the camera against its own mean picture.

One Gauss-Newton step of image registration, taken twice (Lucas and Kanade 1981; Baker and Matthews 2004), on a picture
of 160 x 90; what moves by itself counts little (weights of Cauchy's distribution). Finds shifts of some pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SMALL = (160, 90)
_BLUR_SMALL_PX = 1.2
_STEPS = 2
_MOST_SMALL_PX = 2.5
_LEARN_EVERY_MS = 400
_SHARE_LEAST = 0.03
_ROOT = np.sqrt(np.arange(256) * 255.0).astype(np.float32)


@dataclass(frozen=True)
class SteadyState:
    """mean: the mean picture (90, 160), square roots of brightness; slope: its gradient (2, 90, 160)."""

    mean: NDArray[Any] | None = None
    slope: NDArray[Any] | None = None
    seen: int = 0
    learnt_ms: int | None = None


def steady(
    state: SteadyState, small_grey: NDArray[Any], mono_ms: int, picture: tuple[int, int]
) -> tuple[SteadyState, tuple[float, float]]:
    """The shift (right, down) in pixels of a picture of this width and height, from its grey copy of SMALL."""
    now = cv2.GaussianBlur(cv2.LUT(small_grey, _ROOT), (0, 0), _BLUR_SMALL_PX)
    if state.mean is None or state.slope is None:
        return SteadyState(now, _slope(now), 1, mono_ms), (0.0, 0.0)
    shift, aligned = np.zeros(2), now
    for _ in range(_STEPS):
        shift = np.clip(shift + _step(state.mean, state.slope, aligned), -_MOST_SMALL_PX, _MOST_SMALL_PX)
        move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
        aligned = cv2.warpAffine(
            now, move, SMALL, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
        )
    if state.learnt_ms is None or mono_ms - state.learnt_ms >= _LEARN_EVERY_MS:
        share = np.float32(max(_SHARE_LEAST, 1 / (state.seen + 1)))
        mean = state.mean + share * (aligned - state.mean)
        state = SteadyState(mean, _slope(mean), state.seen + 1, mono_ms)
    return state, (float(shift[0] * picture[0] / SMALL[0]), float(shift[1] * picture[1] / SMALL[1]))


def _slope(mean: NDArray[Any]) -> NDArray[Any]:
    return np.stack([cv2.Sobel(mean, cv2.CV_32F, *axis, scale=1 / 8) for axis in ((1, 0), (0, 1))])


def _step(mean: NDArray[Any], slope: NDArray[Any], now: NDArray[Any]) -> NDArray[np.float64]:
    residual = now - mean
    sample = residual[::3, ::3]
    residual = residual - np.float32(np.median(sample))
    scale = 1.5 * float(np.median(np.abs(sample - np.median(sample)))) + 0.5
    weight = 1 / (1 + (residual / np.float32(scale)) ** 2)
    (gx, gy), (wx, wy) = slope, slope * weight
    across, along, both = np.vdot(wx, gx), np.vdot(wy, gy), np.vdot(wx, gy)
    normal = np.array([[across, both], [both, along]], np.float64)
    # A picture without structure has no place: the step is then nought.
    normal += np.eye(2) * (1e-3 * np.trace(normal) + 1.0)
    step: NDArray[np.float64] = np.linalg.solve(normal, [-np.vdot(wx, residual), -np.vdot(wy, residual)])
    return step
