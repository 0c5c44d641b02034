"""What tells a siren's pitch from a horn's, a voice's or a violin's: a dozen figures of one pitch track."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.emergency.pitch import HOP, RATE_HZ, PitchTrack

PER_S = RATE_HZ / HOP
TONAL_DB = 9.0
NAMES = (
    "tonal", "prominence", "share", "below", "rival", "longest_s", "extent", "stepped", "two_tone", "turns_per_s",
    "gaps_per_s", "sharp", "sweep_s", "sweep_octaves", "sweeping", "sweeps_per_s", "flat", "rough",
)  # fmt: skip
# A sweep: the pitch, smoothed over 150 ms, goes one way for a quarter of a second or more, through an eighth of an
# octave, at 0.1 to 8 octaves a second. Vibrato goes to and fro within it, a slide between two notes is over sooner.
_SMOOTH, _SLOPE_OVER = 15, 10
_SLOWEST, _STEEPEST, _FLAT = 0.1, 8.0, 0.06
_LEAST_SWEEP_S, _LEAST_SWEEP_OCTAVES, _PAUSE = 0.25, 0.12, 6

Array = NDArray[np.float64]


def features(track: PitchTrack) -> Array:
    """(len(NAMES),), each about -2..3."""
    tonal = track.prominence_db > TONAL_DB
    if tonal.sum() < 10:
        return np.zeros(len(NAMES))
    pitch, seconds = track.octaves, len(track.octaves) / PER_S
    step = np.diff(pitch)
    both = tonal[1:] & tonal[:-1]
    leaps = both & (np.abs(step) > 0.085)
    low, high = np.percentile(pitch[tonal], (5, 95))
    middle = _median3(pitch)
    slope = _slope(middle) * PER_S
    sharp = tonal & (np.abs(slope) > 0.12) & (np.abs(slope) < 14.0) & (_residual(middle) < 0.03)
    return np.array(
        [
            float(tonal.mean()),
            float(track.prominence_db[tonal].mean()) / 20,
            float(track.share[tonal].mean()),
            float(np.clip(track.below_db[tonal], -30, 10).mean()) / 15,
            float(np.clip(track.rival_db[tonal], -30, 10).mean()) / 15,
            _longest(tonal, step) / PER_S,
            high - low,
            float(np.abs(step[leaps]).sum()) / (float(np.abs(step[both]).sum()) + 1e-3),
            _two_tones(pitch, tonal, slope),
            _turns(middle, tonal) / seconds / 2,
            float((np.diff(tonal.astype(int)) == -1).sum()) / seconds / 3,
            float(sharp.mean()),
            *_sweeps(pitch, tonal),
        ]
    )


def _sweeps(pitch: Array, tonal: NDArray[np.bool_]) -> tuple[float, ...]:
    """sweep_s and sweep_octaves of the longest sweep, the share of time in sweeps, how many a second (thirds), the
    share of time in which the tone is held, and how rough the pitch is around its smoothed course."""
    five = np.lib.stride_tricks.sliding_window_view(np.pad(pitch, 2, mode="edge"), 5)
    clean = np.median(five, axis=1)
    smooth = _mean(clean, _SMOOTH)
    half = _SLOPE_OVER // 2
    slope = np.pad((smooth[_SLOPE_OVER:] - smooth[:-_SLOPE_OVER]) * (PER_S / _SLOPE_OVER), half, mode="edge")
    steady = _mean(tonal.astype(float), 9) > 0.5
    size = np.abs(slope)
    sign = np.where(steady & (size > _SLOWEST) & (size < _STEEPEST), np.sign(slope), 0.0)
    longest = octaves = total = count = 0.0
    begin = 0
    while begin < len(sign):
        if sign[begin] == 0:
            begin += 1
            continue
        last = at = begin
        while at < len(sign) and at - last <= _PAUSE:
            if sign[at] == sign[begin]:
                last = at
            at += 1
        long_s, far = (last - begin) / PER_S, abs(float(smooth[last] - smooth[begin]))
        if far > _LEAST_SWEEP_OCTAVES:
            if long_s > longest:
                longest, octaves = long_s, far
            if long_s >= _LEAST_SWEEP_S:
                total += long_s
                count += 1
        begin = last + 1
    seconds = len(pitch) / PER_S
    flat = float((steady & (size < _FLAT)).mean())
    rough = float(np.median(np.abs(clean - smooth)[steady])) if steady.any() else 0.0
    return longest, octaves, total / seconds, count / seconds, flat, rough * 50


def _mean(values: Array, size: int) -> Array:
    padded = np.pad(values, (size // 2, size - 1 - size // 2), mode="edge")
    return np.convolve(padded, np.ones(size) / size, "valid")


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


def _two_tones(pitch: Array, tonal: NDArray[np.bool_], slope: Array) -> float:
    """The share of time that two held pitches explain, a minor second to a minor sixth apart, with turns between."""
    held = tonal & (np.abs(slope) < 0.35)
    if held.sum() < 20:
        return 0.0
    counts = np.bincount(np.round(pitch[held] * 24).astype(int), minlength=72).astype(float)
    counts = np.convolve(counts, np.ones(2), "same") / held.sum()
    first = int(counts.argmax())
    others = counts.copy()
    others[max(0, first - 2) : first + 3] = 0
    second = int(others.argmax())
    if min(counts[first], others[second]) < 0.12 or not 0.13 < abs(first - second) / 24 < 0.65:
        return 0.0
    explained = min(1.0, float(counts[first] + others[second])) * float(held.sum()) / len(pitch)
    return explained * _regular(pitch, held, first / 24, second / 24)


def _regular(pitch: Array, held: NDArray[np.bool_], a: float, b: float) -> float:
    """0..1: how evenly two pitches take turns. A siren's tones last alike, at least 0.25 s; a tune's don't."""
    side = np.where(np.abs(pitch - a) < 0.05, 1, np.where(np.abs(pitch - b) < 0.05, -1, 0))
    at = np.flatnonzero(held & (side != 0))
    turns = at[1:][np.diff(side[at]) != 0]
    if len(turns) < 2:
        return 0.0
    stays = np.diff(turns) / PER_S
    if len(stays) == 1:
        return 0.4 if stays[0] >= 0.25 else 0.0
    if not 0.45 < float(stays[::2].mean() / stays[1::2].mean()) < 2.2:
        return 0.0
    # Every other stay is of the same tone: those must be alike.
    uneven = np.concatenate([stays[::2] - stays[::2].mean(), stays[1::2] - stays[1::2].mean()])
    even = 1 / (1 + (float(np.sqrt((uneven**2).mean())) / (0.12 * float(stays.mean()))) ** 2)
    return even * (1.0 if len(stays) > 2 else 0.7) * float(stays.min() >= 0.2)
