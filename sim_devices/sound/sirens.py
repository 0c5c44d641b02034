"""Sirens of emergency vehicles: wail, yelp, priority, two tones, and a motor-driven one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sim_devices.sound.tones import RATE_HZ, Sound, falling_levels, harmonics, steps, times


def _sweep(random: np.random.Generator, seconds: float, period_s: float, low_hz: float, octaves: float) -> Sound:
    """Pitch that rises and falls with a period; the shares of both, and how they bend, are drawn."""
    rise = random.uniform(0.3, 0.7)
    at = (times(seconds) / period_s + random.uniform()) % 1.0
    share = np.where(at < rise, at / rise, (1 - at) / (1 - rise))
    bend = random.choice([1.0, 0.5, 0.7, 1.4])
    return low_hz * 2.0 ** (octaves * share**bend)


def wail(random: np.random.Generator, seconds: float) -> Sound:
    return _sweep(random, seconds, random.uniform(2.2, 9.0), random.uniform(430, 850), random.uniform(0.7, 1.5))


def yelp(random: np.random.Generator, seconds: float) -> Sound:
    return _sweep(random, seconds, random.uniform(0.2, 0.75), random.uniform(500, 850), random.uniform(0.7, 1.4))


def priority(random: np.random.Generator, seconds: float) -> Sound:
    return _sweep(random, seconds, random.uniform(0.055, 0.11), random.uniform(550, 850), random.uniform(0.6, 1.3))


def hi_lo(random: np.random.Generator, seconds: float) -> Sound:
    """Two tones in turn, a minor third to a fourth or so apart."""
    low, ratio = random.uniform(370, 800), random.uniform(1.14, 1.5)
    period_s, share = random.uniform(0.7, 1.9), random.uniform(0.42, 0.58)
    high = ((times(seconds) / period_s + random.uniform()) % 1.0) < share
    return _smoothed(np.where(high, low * ratio, low), random.uniform(0.002, 0.03))


def motor(random: np.random.Generator, seconds: float) -> Sound:
    """A turbine that a motor drives: it runs up fast and coasts down slowly."""
    period_s, at0 = random.uniform(4.0, 9.0), random.uniform()
    at = (times(seconds) / period_s + at0) % 1.0
    up = random.uniform(0.25, 0.45)
    share = np.where(at < up, 1 - np.exp(-3.5 * at / up), np.exp(-1.6 * (at - up) / (1 - up)))
    return random.uniform(420, 600) * 2.0 ** (random.uniform(0.7, 1.2) * share)


PITCHES: dict[str, Callable[[np.random.Generator, float], Sound]] = {
    "wail": wail, "yelp": yelp, "priority": priority, "hi-lo": hi_lo, "motor": motor,
}  # fmt: skip


def drawn_kind(random: np.random.Generator) -> str:
    return str(random.choice([*PITCHES], p=[0.42, 0.2, 0.06, 0.24, 0.08]))


def siren(random: np.random.Generator, seconds: float = 3.0, kind: str | None = None) -> Sound:
    """A siren alone, as its vehicle passes: no street, no room. Some change their tune within the clip."""
    kind = kind or drawn_kind(random)
    pitch = PITCHES[kind](random, seconds)
    if kind in ("wail", "yelp") and random.uniform() < 0.12:
        other = PITCHES["yelp" if kind == "wail" else "wail"](random, seconds)
        cut = int(len(pitch) * random.uniform(0.3, 0.7))
        pitch = np.concatenate([pitch[:cut], other[cut:]])
    pitch = pitch * _passing(random, seconds)
    rich = random.uniform() < 0.3
    sound = harmonics(pitch, falling_levels(random, 10, (0.55, 0.9) if rich else (0.1, 0.5)), random.uniform(0, 6))
    if random.uniform() < 0.6:  # wind, other vehicles, and a horn that does not carry every pitch alike
        sound *= steps(random, len(sound), random.uniform(0.2, 0.8), random.uniform(0.15, 0.7), 1.0)
    return sound


def _passing(random: np.random.Generator, seconds: float) -> Sound:
    """Doppler: the pitch factor of a vehicle that drives by at some distance, 343 m/s for sound."""
    speed, beside_m = random.uniform(0, 28), random.uniform(4, 40)
    along = speed * (times(seconds) - random.uniform(-3, seconds + 3))
    return 343.0 / (343.0 + speed * along / np.hypot(along, beside_m))


def _smoothed(pitch: Sound, seconds: float) -> Sound:
    size = max(1, round(seconds * RATE_HZ))
    padded = np.pad(pitch, (size, size), mode="edge")
    return np.convolve(padded, np.ones(size) / size, "same")[size:-size]
