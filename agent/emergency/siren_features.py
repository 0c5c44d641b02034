"""What tells a siren's pitch from a horn's, a voice's or a violin's: a dozen figures of one pitch track."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.emergency.pitch import HOP, RATE_HZ, PitchTrack

PER_S = RATE_HZ / HOP
TONAL_DB = 9.0
NAMES = (
    "tonal", "prominence", "share", "below", "rival", "longest_s", "extent", "moving", "smooth", "stepped", "levels",
    "two_tone", "period_peak", "period_rate", "turns_per_s", "gaps_per_s", "drift", "pitch_middle", "level_range",
    "sweep_share",
)  # fmt: skip

Array = NDArray[np.float64]


def features(track: PitchTrack) -> Array:
    """(len(NAMES),), each about 0..3."""
    tonal = track.prominence_db > TONAL_DB
    share = float(tonal.mean())
    if tonal.sum() < 10:
        return np.zeros(len(NAMES))
    pitch = track.octaves
    step = np.diff(pitch)
    both = tonal[1:] & tonal[:-1]
    smooth_pitch = _median3(pitch)
    slope = _slope(smooth_pitch) * PER_S
    moving = tonal & (np.abs(slope) > 0.12)
    sweeping = tonal & (np.abs(slope) > 0.12) & (np.abs(slope) < 14.0) & (_residual(smooth_pitch) < 0.03)
    low, high = np.percentile(pitch[tonal], (5, 95))
    leaps = both & (np.abs(step) > 0.085)
    travelled = float(np.abs(step[both]).sum()) + 1e-3
    peak, rate = _period(pitch, tonal)
    gaps = float((np.diff(tonal.astype(int)) == -1).sum())
    two, levels = _levels(pitch, tonal, slope)
    seconds = len(pitch) / PER_S
    level = track.level_db[tonal]
    return np.array(
        [
            share,
            float(track.prominence_db[tonal].mean()) / 20,
            float(track.share[tonal].mean()),
            float(np.clip(track.below_db[tonal], -30, 10).mean()) / 15,
            float(np.clip(track.rival_db[tonal], -30, 10).mean()) / 15,
            _longest(tonal, step) / PER_S,
            high - low,
            float(moving.sum()) / len(pitch),
            float(np.median(_residual(smooth_pitch)[tonal])) * 30,
            float(np.abs(step[leaps]).sum()) / travelled,
            levels,
            two,
            peak,
            rate,
            _turns(smooth_pitch, tonal) / seconds / 2,
            gaps / seconds / 3,
            abs(float(np.sum(step[both & ~leaps]))),
            float(np.median(pitch[tonal])),
            float(np.percentile(level, 90) - np.percentile(level, 10)) / 20,
            float(sweeping.sum()) / len(pitch),
        ]
    )


def _median3(values: Array) -> Array:
    padded = np.pad(values, 1, mode="edge")
    found: Array = np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)
    return found


def _slope(pitch: Array) -> Array:
    """Octaves a frame, over 50 ms."""
    padded = np.pad(pitch, 2, mode="edge")
    return (2 * (padded[4:] - padded[:-4]) + (padded[3:-1] - padded[1:-3])) / 10


def _residual(pitch: Array) -> Array:
    """How far each point lies from the middle of its neighbours 40 ms before and after, in octaves."""
    padded = np.pad(pitch, 4, mode="edge")
    found: Array = np.abs(padded[4:-4] - (padded[8:] + padded[:-8]) / 2)
    return found


def _longest(tonal: NDArray[np.bool_], step: Array) -> int:
    """Frames of the longest stretch in which the tone neither stops (longer than 50 ms) nor leaps."""
    best = run = quiet = 0
    for i in range(1, len(tonal)):
        quiet = 0 if tonal[i] else quiet + 1
        broken = quiet > 5 or (tonal[i] and tonal[i - 1] and abs(step[i - 1]) > 0.2)
        run = 0 if broken else run + 1
        best = max(best, run)
    return best


def _turns(pitch: Array, tonal: NDArray[np.bool_]) -> int:
    """How often it turns from rising to falling or back by more than a whole tone."""
    count, direction, low, high = 0, 0, np.inf, -np.inf
    for value in pitch[tonal]:
        low, high = min(low, value), max(high, value)
        if direction >= 0 and value < high - 0.17:
            count += direction > 0
            direction, low = -1, value
        elif direction <= 0 and value > low + 0.17:
            count += direction < 0
            direction, high = 1, value
    return count


def _levels(pitch: Array, tonal: NDArray[np.bool_], slope: Array) -> tuple[float, float]:
    """How well two held pitches explain all held ones (with turns between them), and how many pitches are held."""
    held = tonal & (np.abs(slope) < 0.35)
    if held.sum() < 20:
        return 0.0, 0.0
    counts = np.bincount(np.round(pitch[held] * 24).astype(int), minlength=72).astype(float)
    counts = np.convolve(counts, np.ones(2), "same") / held.sum()
    notes = []
    spread = counts.copy()
    for _ in range(6):
        at = int(spread.argmax())
        if spread[at] < 0.06:
            break
        notes.append((at, spread[at]))
        spread[max(0, at - 2) : at + 3] = 0
    if len(notes) < 2:
        return 0.0, len(notes) / 3
    (a, share_a), (b, share_b) = notes[:2]
    ratio = abs(a - b) / 24
    switches = _switches(pitch, held, a / 24, b / 24)
    fits = 0.13 < ratio < 0.65 and min(share_a, share_b) > 0.12
    explained = min(1.0, share_a + share_b) * float(held.sum()) / len(pitch)
    return (explained if fits and switches >= 2 else 0.5 * explained if fits and switches else 0.0), len(notes) / 3


def _switches(pitch: Array, held: NDArray[np.bool_], a: float, b: float) -> int:
    side = np.where(np.abs(pitch - a) < 0.05, 1, np.where(np.abs(pitch - b) < 0.05, -1, 0))[held]
    side = side[side != 0]
    return int((np.diff(side) != 0).sum())


def _period(pitch: Array, tonal: NDArray[np.bool_]) -> tuple[float, float]:
    """The strongest repetition of the pitch within 50 ms to 2 s (autocorrelation), and how often it comes, in octaves
    above 0.5 a second."""
    centred = np.where(tonal, pitch - pitch[tonal].mean(), 0.0)
    if centred.std() < 0.03:
        return 0.0, 0.0
    size = 1 << (2 * len(centred) - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(centred, size)) ** 2
    correlation = np.fft.irfft(spectrum, size)[: len(centred)]
    correlation /= correlation[0] * np.linspace(1, 1 / len(centred), len(centred)) + 1e-9
    fall = int(np.argmax(correlation < 0.2))
    first, last = max(5, fall), min(200, len(correlation) - 60)
    if fall == 0 or last <= first:
        return 0.0, 0.0
    lag = first + int(correlation[first:last].argmax())
    return float(np.clip(correlation[lag], 0, 1)), float(np.log2(PER_S / lag / 0.5)) / 3
