"""What flickers in one track's picture, how often, and in which colour: a test in time, without training.

Each picture of a track is shrunk to a grid over the vehicle and a margin around it (crops.py), so that it may move and
grow. In each cell the colour differences blue - green and red - green, in which white light and moving edges of white
and grey cancel, are fitted by a sinusoid over a parabola at each of some frequencies, at the times at which the
pictures were really taken (Lomb 1976, Astrophys. Space Sci. 39, 447; with the trend in the fit, Zechmeister and Kürster
2009, A&A 496, 577). Cells are pooled by power, without regard to phase, so that lamps that flash in turn don't cancel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.emergency.crops import GRID, MARGIN, ROWS, Array

# Flicker is that of the mean of so many cells across and down, in which a lamp stays while the box around it sways.
_WIDE = 3
_AT_ONCE = 40
LOW_HZ, HIGH_HZ = 0.9, 4.3
# Slower rates are fitted too: what changes at those is no beacon, and must not pass for one of 1 Hz.
_FREQUENCIES = np.arange(0.4, HIGH_HZ + 0.01, 0.1)
CELLS = 8
# Standard deviation, in grey levels, of the cell that changes most: below it there is nothing to look for.
LEAST_LEVELS = 3.0


@dataclass(frozen=True)
class Flicker:
    """The strongest flicker in a stretch of pictures. rate_hz: of the whole rhythm. explained: 0..1, the share of what
    changes in the CELLS strongest cells that the sinusoid tells. levels: its size in grey levels, blue, green and red
    lamps' own colour apart from it. colours: the shares of blue, red, amber and other light in it. steady: -1..1, how
    well the second half goes on from the first, in each cell's size and phase. cycles: seen so far. brightness: of the
    brightest of the cells when it is lit, 0..255. added: 0..1, how far a cell changes with those around it; where light
    moves, it leaves one as it comes to the next. outside: what flickers so in the margin over what does within. edge:
    the share of it at the box's upper edge and its sides. once: 0..1, as explained, of a single step in place of the
    sinusoid."""

    rate_hz: float
    explained: float
    levels: float
    colours: tuple[float, float, float, float]
    steady: float
    cycles: float
    brightness: float
    added: float
    outside: float
    edge: float
    once: float


def brightness(image: NDArray[Any]) -> float:
    """Mean level of the middle half of a picture's pixels, from one in 256: a lamp that is lit leaves it as it is."""
    levels = np.sort(image[4::16, 4::16].mean(axis=2), axis=None)
    quarter = len(levels) // 4
    return float(levels[quarter : len(levels) - quarter].mean()) + 1.0


def flicker(grids: NDArray[Any], times_s: Array) -> Flicker | None:
    """grids: (n, ...) of crops.laid, n at least 8. None where nothing changes its colour."""
    n, rows, columns = grids.shape[:3]
    seen = _wide_means(grids)
    pairs = np.stack([seen[..., 0] - seen[..., 1], seen[..., 2] - seen[..., 1]], axis=-1)
    at = times_s - times_s.mean()
    span = max(1e-6, float(np.ptp(times_s)))
    trend = np.stack([np.ones(n), at / span, (at / span) ** 2], axis=1)
    base, _ = np.linalg.qr(trend)
    whole_flat = pairs.reshape(n, -1)
    whole_flat = whole_flat - base @ (base.T @ whole_flat)
    inner = (slice(MARGIN, MARGIN + ROWS), slice(MARGIN, MARGIN + GRID))
    flat = whole_flat.reshape(n, rows, columns, 2)[:, *inner].reshape(n, -1)
    cells = ROWS * GRID
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
    wave = waves[2 * best : 2 * best + 2]
    lit = seen[:, *inner].reshape(n, cells, 3)[:, chosen]
    flickering = flat.reshape(n, cells, 2)[:, chosen].reshape(n, -1)
    down, across = chosen // GRID, chosen % GRID
    at_edge = (down == 0) | (across == 0) | (across == GRID - 1)
    waving = (wave @ whole_flat).reshape(2, rows, columns, 2)
    power = (waving**2).sum(axis=(0, 3))
    inside = float(power[inner].sum())
    return Flicker(
        rate_hz=rate,
        explained=float(pooled[best] / max(1e-9, float(whole[best]))),
        levels=float(np.sqrt(pooled[best] / CELLS * 2.0 / n)),
        colours=_colours(np.tensordot(wave, lit, axes=(1, 0)) * np.sqrt(2.0 / n)),
        steady=_steady(wave, flickering),
        cycles=rate * span,
        brightness=float(lit.max()),
        added=_added(waving, down + MARGIN, across + MARGIN),
        outside=(float(power.sum()) - inside) / max(1e-9, inside),
        edge=float(powers[best, chosen][at_edge].sum() / max(1e-9, float(pooled[best]))),
        once=_once(flickering, base),
    )


def _wide_means(grids: NDArray[Any]) -> Array:
    """(n, rows, columns, 3): each cell's mean with those around it. The pictures go as channels, of which OpenCV takes
    128 at a time."""
    parts = []
    for first in range(0, len(grids), _AT_ONCE):
        some = grids[first : first + _AT_ONCE]
        n, rows, columns = some.shape[:3]
        sharp = some.transpose(1, 2, 0, 3).reshape(rows, columns, -1)
        parts.append(cv2.blur(sharp, (_WIDE, _WIDE)).reshape(rows, columns, n, 3).transpose(2, 0, 1, 3))
    return np.concatenate(parts).astype(float)


def _added(waving: Array, down: NDArray[np.intp], across: NDArray[np.intp]) -> float:
    """waving: (2, rows, columns, 2), each cell's cosine and sine in both colour differences. Of each of the cells at
    down and across: the sum over it and its eight neighbours, over the sum of their sizes."""
    sizes = np.sqrt((waving**2).sum(axis=0))
    total, most = np.zeros((2, len(down), 2)), np.zeros((len(down), 2))
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            total += waving[:, down + dy, across + dx]
            most += sizes[down + dy, across + dx]
    return float((total**2).sum()) / max(1e-9, float((most**2).sum()))


def _once(flat: Array, base: Array) -> float:
    """0..1: the share of what changes in flat, (n, figures) less the trend, that one step at the best time explains."""
    steps = np.tri(len(flat), k=-1)[:, 1:-2].T
    steps = steps - (steps @ base) @ base.T
    power = ((steps @ flat) ** 2).sum(axis=1) / np.maximum(0.1, (steps**2).sum(axis=1))
    return float(power.max()) / max(1e-9, float((flat**2).sum()))


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


def _colours(amplitudes: Array) -> tuple[float, float, float, float]:
    """Shares of blue, red, amber and other in the flicker, by what light comes to each cell.

    amplitudes: (2, cells, 3), of the cosine and the sine. A cell is lit when it is the brighter."""
    shares = np.full(4, 1e-9)
    for pair in amplitudes.transpose(1, 0, 2):
        power = (pair**2).sum(axis=0)
        direction = pair[:, int(power.argmax())] / max(1e-9, float(np.sqrt(power.max())))
        change = direction @ pair
        if float(change.sum()) < 0:
            change = -change
        shares[_hue(*(float(c) for c in change))] += float(np.ptp(change) ** 2)
    blue, red, amber, other = (shares / shares.sum()).tolist()
    return blue, red, amber, other


def _hue(blue: float, green: float, red: float) -> int:
    """0 blue, 1 red, 2 amber, 3 other: of the light that is added. Blue lamps that outshine the picture add green too,
    up to cyan, which no other lamp on a road is."""
    if max(blue, green, red) - min(blue, green, red) < 0.15 * max(abs(blue), abs(green), abs(red)):
        return 3
    if blue > red:
        return 0 if green - red < 8.0 * (blue - red) else 3
    share = (green - blue) / max(1e-9, red - blue)
    return 1 if share < 0.36 else 2 if share < 1.3 else 3
