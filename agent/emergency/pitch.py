"""The loudest moving tone in a piece of sound: its pitch and how far it stands out, frame by frame.

The path through the spectrogram that maximises prominence minus a price on jumps, found by dynamic programming over
logarithmic frequency (Viterbi 1967; for pitch: Talkin 1995, "A robust algorithm for pitch tracking").
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
HOP = 160
_WINDOW = 480
_FFT = 1024
LOW_HZ, HIGH_HZ = 330.0, 2100.0
BINS_PER_OCTAVE = 36
BINS = round(np.log2(HIGH_HZ / LOW_HZ) * BINS_PER_OCTAVE) + 1
# The steepest siren (priority) moves less than an octave in 25 ms: 14 bins in a hop of 10 ms.
_REACH = 14
_JUMP_PRICE_DB = 0.9
FLOOR_DB = -85.0

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PitchTrack:
    """One row for each 10 ms. octaves: pitch above LOW_HZ. prominence_db: over the neighbourhood, half to twice the
    pitch. level_db: of the tone, 0 is full scale. below_db: the strongest of a half, a third and two thirds of the
    pitch against the tone: near or above 0 where the "tone" is an overtone of something deeper. share: of the tone and
    its overtones in the power between 200 Hz and 6 kHz. rival_db: the strongest tone that is neither it nor an overtone
    of it, against it."""

    octaves: Array
    prominence_db: Array
    level_db: Array
    below_db: Array
    share: Array
    rival_db: Array


def track(samples: NDArray[Any]) -> PitchTrack:
    """samples: mono, 16 kHz, -1..1, at least 0.1 s."""
    power = _power(np.asarray(samples, float))
    columns, weights = _grid()
    level = _at(power, columns, weights)
    level_db = 10 * np.log10(level + 1e-12)
    around_db = _around(level_db)
    salience = np.clip(level_db - around_db, -6.0, 24.0)
    octave_up = _at(power, *_grid(2.0))
    salience = salience + 0.25 * np.clip(10 * np.log10(octave_up + 1e-12) - around_db, -6.0, 12.0)
    path = _best_path(salience)
    rows = np.arange(len(path))
    tone_db = level_db[rows, path]
    below_db = np.full(len(path), -60.0)
    for share in (0.5, 1 / 3, 2 / 3):
        deeper = _at(power, *_grid(share))[rows, path]
        below_db = np.maximum(below_db, 10 * np.log10(deeper + 1e-12) - tone_db)
    total = power[:, 13:384].sum(axis=1) + 1e-12
    own = sum(_lobe(power, path, k) for k in (1, 2, 3))
    return PitchTrack(
        octaves=(path + _between(level_db, path)) / BINS_PER_OCTAVE,
        prominence_db=(level_db - around_db)[rows, path],
        level_db=tone_db,
        below_db=below_db,
        share=np.clip(own / total, 0.0, 1.0),
        rival_db=_rival(level_db - around_db, level_db, path),
    )


def _power(samples: Array) -> Array:
    """(frames, bins): a full-scale sine gives about 1 in its bin."""
    if len(samples) < _WINDOW:
        samples = np.pad(samples, (0, _WINDOW - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::HOP]
    window = np.hanning(_WINDOW)
    spectrum = np.fft.rfft(frames * window, _FFT, axis=1) * (2 / window.sum())
    power: Array = spectrum.real**2 + spectrum.imag**2
    return power


@cache
def _grid(factor: float = 1.0) -> tuple[NDArray[np.int64], Array]:
    """Where each pitch times factor lies between the columns of the spectrum."""
    hz = factor * LOW_HZ * 2.0 ** (np.arange(BINS) / BINS_PER_OCTAVE)
    column = np.clip(hz / (RATE_HZ / _FFT), 0, _FFT // 2 - 1.001)
    return column.astype(np.int64), column % 1.0


def _at(power: Array, columns: NDArray[np.int64], weights: Array) -> Array:
    found: Array = power[:, columns] * (1 - weights) + power[:, columns + 1] * weights
    return found


def _around(level_db: Array) -> Array:
    """What a tone stands out from: the median of every pitch within an octave to either side."""
    half = BINS_PER_OCTAVE
    padded = np.pad(level_db, ((0, 0), (half, half)), mode="edge")
    coarse = np.arange(0, BINS, 6)
    medians = np.stack([np.median(padded[:, c : c + 2 * half + 1 : 3], axis=1) for c in coarse], axis=1)
    at = np.arange(BINS)
    place = np.clip(at / 6, 0, len(coarse) - 1.001)
    left = place.astype(int)
    found: Array = medians[:, left] + (medians[:, left + 1] - medians[:, left]) * (place - left)
    return np.maximum(found, FLOOR_DB)


def _best_path(salience: Array) -> NDArray[np.int64]:
    frames = len(salience)
    price = _JUMP_PRICE_DB * np.abs(np.arange(-_REACH, _REACH + 1))
    best = salience[0]
    came = np.zeros((frames, BINS), np.int64)
    # Two tones (hi-lo) leap: any pitch may follow any other, at the price of a far jump.
    leap = _JUMP_PRICE_DB * (_REACH + 10)
    for t in range(1, frames):
        padded = np.pad(best, _REACH, constant_values=-1e9)
        options = np.lib.stride_tricks.sliding_window_view(padded, 2 * _REACH + 1) - price
        chosen = options.argmax(axis=1)
        value = options[np.arange(BINS), chosen]
        top = int(best.argmax())
        leaps = best[top] - leap > value
        came[t] = np.where(leaps, top, np.arange(BINS) + chosen - _REACH)
        best = np.where(leaps, best[top] - leap, value) + salience[t]
    path = np.zeros(frames, np.int64)
    path[-1] = int(best.argmax())
    for t in range(frames - 1, 0, -1):
        path[t - 1] = came[t, path[t]]
    return path


def _between(level_db: Array, path: NDArray[np.int64]) -> Array:
    """Where the peak really lies, in bins from the path's: the vertex of a parabola through three of them."""
    rows, middle = np.arange(len(path)), np.clip(path, 1, BINS - 2)
    left, here, right = (level_db[rows, middle + d] for d in (-1, 0, 1))
    bend = left - 2 * here + right
    found: Array = np.clip(0.5 * (left - right) / np.where(np.abs(bend) < 1e-6, 1.0, bend), -0.5, 0.5)
    return np.where(bend < -1e-6, found, 0.0)


def _lobe(power: Array, path: NDArray[np.int64], harmonic: int) -> Array:
    """Power of one harmonic, with the width that the window gives it."""
    centre = np.round(harmonic * LOW_HZ * 2.0 ** (path / BINS_PER_OCTAVE) / (RATE_HZ / _FFT)).astype(int)
    rows = np.arange(len(path))
    return np.sum([power[rows, np.clip(centre + d, 0, _FFT // 2)] for d in range(-4, 5)], axis=0)  # type: ignore[no-any-return]


def _rival(prominence_db: Array, level_db: Array, path: NDArray[np.int64]) -> Array:
    distance = np.arange(BINS)[None, :] - path[:, None]
    far = (np.abs(distance) > 5) & (np.abs(distance - BINS_PER_OCTAVE) > 4)
    peak = np.zeros_like(far)
    peak[:, 1:-1] = (level_db[:, 1:-1] >= level_db[:, :-2]) & (level_db[:, 1:-1] >= level_db[:, 2:])
    others = np.where(far & peak & (prominence_db > 6), level_db, -120.0).max(axis=1)
    return np.maximum(others - level_db[np.arange(len(path)), path], -40.0)
