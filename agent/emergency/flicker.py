"""What flickers in one track's picture, how often, how far up, and in which colour: a test in time, without training.

Each picture of a track is shrunk to a grid over its box, so that a vehicle may move and grow. In each cell the colour
differences blue - green and red - green, in which white light and moving edges of white and grey cancel, are fitted by
a sinusoid over a parabola at each of some frequencies, at the times at which the pictures were really taken (Lomb 1976,
Astrophys. Space Sci. 39, 447; with the trend in the fit, Zechmeister and Kürster 2009, A&A 496, 577). Cells are pooled
by power, without regard to phase, so that lamps that flash in turn don't cancel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

GRID = 12
# Rows that can hold a beacon: below them are lamps of every vehicle, indicators and their mirrors on a wet road.
ROWS = 6
_ABOVE, _BESIDE = 0.14, 0.06
LOW_HZ, HIGH_HZ = 0.9, 4.3
# Slower rates are fitted too: what changes at those is no beacon, and must not pass for one of 1 Hz.
_FREQUENCIES = np.arange(0.4, HIGH_HZ + 0.01, 0.1)
CELLS = 8
# Standard deviation, in grey levels, of the cell that changes most: below it there is nothing to look for.
LEAST_LEVELS = 3.0

Array = NDArray[np.float64]
Grid = NDArray[Any]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Flicker:
    """The strongest flicker in a stretch of pictures. rate_hz: of the whole rhythm. explained: 0..1, the share of what
    changes in the CELLS strongest cells that the sinusoid tells. levels: its size in grey levels, blue, green and red
    lamps' own colour apart from it. colours: the shares of blue, red, amber and other light in it. height: 0 at the top
    of the box, 1 at its bottom. compact: the share of all that flickers at this rate that lies in those cells. lead:
    its power over the next best rate's, that is no overtone of it. steady: -1..1, how well the second half goes on from
    the first, in each cell's size and phase. cycles: seen so far. brightness: of the brightest of the cells when it is
    lit, 0..255."""

    rate_hz: float
    explained: float
    levels: float
    colours: tuple[float, float, float, float]
    height: float
    compact: float
    lead: float
    steady: float
    cycles: float
    brightness: float


def grid_of(image: NDArray[Any], box: Box, gain: float) -> Grid | None:
    """(GRID, GRID, 3) float32 of what a beacon on this box could light; None for a box of less than 6 pixels.

    gain: the picture's own brightness over its usual one, which is divided out (exposure, mains flicker)."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    if width < 6 or height < 6:
        return None
    x0, x1 = int(max(0.0, left - _BESIDE * width)), int(min(image.shape[1], right + _BESIDE * width + 1))
    y0, y1 = int(max(0.0, top - max(3.0, _ABOVE * height))), int(min(image.shape[0], bottom + 1))
    if x1 - x0 < 4 or y1 - y0 < 4:
        return None
    small = cv2.resize(image[y0:y1, x0:x1], (GRID, GRID), interpolation=cv2.INTER_AREA)
    found: Grid = small.astype(np.float32) / np.float32(max(0.2, gain))
    return found


def brightness(image: NDArray[Any]) -> float:
    """Mean level of a picture, from one pixel in 256."""
    return float(image[4::16, 4::16].mean()) + 1.0


def flicker(grids: NDArray[Any], times_s: Array) -> Flicker | None:
    """grids: (n, GRID, GRID, 3), n at least 8. None where nothing changes its colour."""
    seen = grids[:, :ROWS].reshape(len(grids), -1, 3).astype(float)
    pairs = np.stack([seen[..., 0] - seen[..., 1], seen[..., 2] - seen[..., 1]], axis=-1)
    n, cells = pairs.shape[:2]
    at = times_s - times_s.mean()
    span = max(1e-6, float(np.ptp(times_s)))
    trend = np.stack([np.ones(n), at / span, (at / span) ** 2], axis=1)
    base, _ = np.linalg.qr(trend)
    flat = pairs.reshape(n, -1)
    flat = flat - base @ (base.T @ flat)
    variance = (flat**2).sum(axis=0).reshape(cells, 2).sum(axis=1)
    if variance.max() < LEAST_LEVELS**2 * n:
        return None
    usable = _FREQUENCIES[_FREQUENCIES * span >= 0.7]
    if not len(usable) or usable[-1] < LOW_HZ:
        return None
    waves = _waves(usable, at, base)
    powers = ((waves @ flat) ** 2).reshape(len(usable), 2, cells, 2).sum(axis=(1, 3))
    strongest = np.argsort(powers, axis=1)[:, -CELLS:]
    pooled = np.take_along_axis(powers, strongest, axis=1).sum(axis=1)
    whole = variance[strongest].sum(axis=1)
    score = pooled * pooled / np.maximum(whole, 1e-9)
    best = int(np.where(usable >= LOW_HZ - 0.01, score, 0.0).argmax())
    chosen, rate = strongest[best], float(usable[best])
    apart = (np.abs(usable - rate) > max(0.5, 1.0 / span)) & (np.abs(usable - 2 * rate) > 0.4)
    apart &= np.abs(usable - rate / 2) > 0.3
    other = float(score[apart].max()) if apart.any() else float(score[best]) / 3
    amplitudes = np.tensordot(waves[2 * best : 2 * best + 2], seen[:, chosen], axes=(1, 0)) * np.sqrt(2.0 / n)
    rows = chosen // GRID
    weight = powers[best, chosen] / max(1e-9, float(pooled[best]))
    return Flicker(
        rate_hz=rate,
        explained=float(pooled[best] / max(1e-9, float(whole[best]))),
        levels=float(np.sqrt(pooled[best] / CELLS * 2.0 / n)),
        colours=_colours(amplitudes, seen[:, chosen].mean(axis=0)),
        height=float((weight * (rows + 0.5)).sum() / GRID),
        compact=float(pooled[best] / max(1e-9, float(powers[best].sum()))),
        lead=float(score[best]) / max(1e-9, other),
        steady=_steady(waves[2 * best : 2 * best + 2], flat.reshape(n, cells, 2)[:, chosen].reshape(n, -1)),
        cycles=rate * span,
        brightness=float(seen[:, chosen].max()),
    )


def _waves(rates_hz: Array, at: Array, base: Array) -> Array:
    """(2 rates, n): for each rate a cosine and a sine, orthonormal to each other and to the trend (Gram-Schmidt)."""
    angle = 2 * np.pi * rates_hz[:, None] * at
    first, second = np.cos(angle), np.sin(angle)
    first -= (first @ base) @ base.T
    first /= np.maximum(1e-6, np.linalg.norm(first, axis=1, keepdims=True))
    second -= (second @ base) @ base.T
    second -= (first * second).sum(axis=1, keepdims=True) * first
    second /= np.maximum(1e-6, np.linalg.norm(second, axis=1, keepdims=True))
    return np.stack([first, second], axis=1).reshape(-1, len(at))


def _steady(wave: Array, flat: Array) -> float:
    """Coherence of a rate's amplitudes in the first and the second half of the pictures, phase included."""
    half = wave.shape[1] // 2
    first, second = wave[:, :half] @ flat[:half], wave[:, half:] @ flat[half:]
    size = np.sqrt(float((first**2).sum()) * float((second**2).sum()))
    return float((first * second).sum()) / max(1e-9, size)


def _colours(amplitudes: Array, middle: Array) -> tuple[float, float, float, float]:
    """Shares of blue, red, amber and other in the flicker, by what each cell's colour is when it is lit and when not.

    amplitudes: (2, cells, 3), of the cosine and the sine; middle: (cells, 3), the mean colour. A cell is lit where its
    colour is the more saturated."""
    shares = np.full(4, 1e-9)
    for pair, mean in zip(amplitudes.transpose(1, 0, 2), middle, strict=True):
        power = (pair**2).sum(axis=0)
        direction = pair[:, int(power.argmax())] / max(1e-9, float(np.sqrt(power.max())))
        change = direction @ pair
        if float(np.ptp(mean + change)) < float(np.ptp(mean - change)):
            change = -change
        weight = float(np.ptp(change) ** 2)
        shares[_hue(*(float(c) for c in change))] += weight
    blue, red, amber, other = (shares / shares.sum()).tolist()
    return blue, red, amber, other


def _hue(blue: float, green: float, red: float) -> int:
    """0 blue, 1 red, 2 amber, 3 other: of the light that is added. An overexposed blue lamp turns pale by its green."""
    if max(blue, green, red) - min(blue, green, red) < 0.15 * max(abs(blue), abs(green), abs(red)):
        return 3
    if blue > red:
        return 0 if green - red < 1.7 * (blue - red) else 3
    share = (green - blue) / max(1e-9, red - blue)
    return 1 if share < 0.36 else 2 if share < 1.3 else 3
