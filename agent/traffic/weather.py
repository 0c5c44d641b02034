"""What the weather looks like: clear, haze, fog, rain, night or glare, from statistics of the picture alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from models.occupancy.weather import softmax
from protocol.messages.observation import Weather

WEATHER_CLASSES: tuple[Weather, ...] = get_args(Weather)
_EVERY_MS = 1000
_MEMORY_S = 20.0
_WORTH_TELLING = 0.01

STATISTICS = (
    "log_luma", "luma_5", "luma_95", "white", "dark", "colour", "veil", "extinction", "contrast", "edge_50", "edge_90",
    "flicker_50", "flicker_98", "streaks", "lamps", "slant",
)  # fmt: skip


@dataclass(frozen=True)
class Glance:
    """What of one picture is compared with the next. lines: every third line of its grey copy."""

    lines: NDArray[Any]


def glance(image: NDArray[Any]) -> Glance:
    return Glance(cv2.cvtColor(np.ascontiguousarray(image[::3]), cv2.COLOR_BGR2GRAY))


def statistics(small: NDArray[Any], haze_per_m: float, before: Glance | None, now: Glance) -> NDArray[np.float64]:
    """The figures of STATISTICS, from the small BGR picture, its extinction, and two glances a second or so apart."""
    blue, green, red = (plane.astype(np.float32) for plane in cv2.split(small))
    most, least = np.maximum(np.maximum(blue, green), red), np.minimum(np.minimum(blue, green), red)
    luma = 0.114 * blue + 0.587 * green + 0.299 * red
    mean = float(luma.mean()) + 1.0
    low, high = np.percentile(luma, (5, 95))
    edges = np.abs(cv2.Sobel(luma, cv2.CV_32F, 1, 0, scale=0.25)) + np.abs(
        cv2.Sobel(luma, cv2.CV_32F, 0, 1, scale=0.25)
    )
    edge_50, edge_90 = np.percentile(edges, (50, 90))
    flicker_50 = flicker_98 = streaks = slant = 0.0
    if before is not None and before.lines.shape == now.lines.shape:
        rise = np.subtract(now.lines, before.lines, dtype=np.int16)
        size = np.abs(rise[:, ::3])
        flicker_50, flicker_98 = (float(one) for one in np.percentile(size, (50, 98)))
        # Falling drops lighten thin upright lines: each pixel against its neighbours left and right.
        thin = rise[:, 2:-2] - np.maximum(rise[:, :-4], rise[:, 4:])
        streaks = float((thin > 10 + 2 * flicker_50).mean()) * 100
        slant = float((thin < -(10 + 2 * flicker_50)).mean()) * 100
    return np.array(
        [
            np.log(mean), low, high, float((luma >= 245).mean()) * 100, float((luma < 30).mean()) * 100,
            float(((most - least) / (most + 10)).mean()) * 100, float(np.percentile(least, 30)) / mean,
            haze_per_m * 100, float(luma.std()) / mean, edge_50, edge_90, flicker_50, flicker_98, streaks,
            float((luma > 2.5 * mean).mean()) * 100, slant,
        ]
    )  # fmt: skip


@dataclass(frozen=True)
class WeatherState:
    """probabilities: (classes,) in the order of WEATHER_CLASSES, over the last half minute."""

    glance: Glance | None = None
    looked_ms: int | None = None
    probabilities: tuple[float, ...] | None = None

    def told(self) -> dict[Weather, float] | None:
        """Those that are worth telling, rounded."""
        if self.probabilities is None:
            return None
        pairs = zip(WEATHER_CLASSES, self.probabilities, strict=True)
        return {name: round(share, 2) for name, share in pairs if share >= _WORTH_TELLING}


def look_up(
    state: WeatherState, image: NDArray[Any], small: NDArray[Any], haze_per_m: float, mono_ms: int
) -> WeatherState:
    """Once a second, this picture and the one of the second before."""
    if state.looked_ms is not None and mono_ms - state.looked_ms < _EVERY_MS:
        return state
    now = glance(image)
    if state.glance is None or state.looked_ms is None:
        return WeatherState(now, mono_ms)
    found = probabilities(statistics(small, haze_per_m, state.glance, now))
    if state.probabilities is not None:
        share = 1 - math.exp(-(mono_ms - state.looked_ms) / 1000 / _MEMORY_S)
        before = np.array(state.probabilities)
        found = before + share * (found - before)
    return WeatherState(now, mono_ms, tuple(float(one) for one in found))


def probabilities(figures: NDArray[np.float64]) -> NDArray[np.float64]:
    """(classes,): a softmax of the standardised figures, fitted over drawn scenes of all kinds (docs/index.md)."""
    model = softmax()
    x = (figures - model.middle) / model.spread
    scores = model.weight @ np.clip(x, -4, 4) + model.bias
    shares = np.exp(scores - scores.max())
    told: NDArray[np.float64] = shares / shares.sum()
    return told
