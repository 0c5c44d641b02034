"""What sounds are made of: tones, noises, rooms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
Sound = NDArray[np.float64]


def times(seconds: float) -> Sound:
    return np.arange(round(seconds * RATE_HZ)) / RATE_HZ


def harmonics(pitch_hz: Sound, levels: Sound, phase: float = 0.0) -> Sound:
    """A tone whose pitch moves: sum of levels[k] sin((k+1) phi), phi the integral of 2 pi pitch; none above 7 kHz."""
    phi = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ + phase
    lowest, twice_cos = float(pitch_hz.min()), 2 * np.cos(phi)
    before, now = np.zeros(len(phi)), np.sin(phi)
    made = np.zeros(len(phi))
    for k, level in enumerate(levels, start=1):
        if k * lowest >= 7000:
            break
        made += level * now * (k * pitch_hz < 7000)
        before, now = now, twice_cos * now - before  # sin((k+1) phi) = 2 cos(phi) sin(k phi) - sin((k-1) phi)
    return made


def falling_levels(random: np.random.Generator, count: int, decay: tuple[float, float]) -> Sound:
    """Levels of harmonics that fall by a share a step, with some chance in each."""
    share = random.uniform(*decay)
    levels: Sound = share ** np.arange(count) * random.uniform(0.4, 1.0, count)
    levels[0] = 1.0
    return levels


def shaped_noise(
    random: np.random.Generator, count: int, low_hz: float, high_hz: float, slope_db: float = 0.0
) -> Sound:
    """Noise between two frequencies, that falls by slope_db an octave; standard deviation 1."""
    spectrum = np.fft.rfft(random.normal(size=count))
    hz = np.fft.rfftfreq(count, 1 / RATE_HZ)
    gain = (np.maximum(hz, 30.0) / 1000.0) ** (-slope_db / 6.02)
    gain *= 1 / (1 + (low_hz / np.maximum(hz, 1.0)) ** 6) / (1 + (hz / high_hz) ** 6)
    made = np.fft.irfft(spectrum * gain, count)
    return made / max(1e-12, float(made.std()))


def steps(random: np.random.Generator, count: int, every_s: float, low: float, high: float) -> Sound:
    """A curve that wanders smoothly between random values, one for each every_s."""
    knots = random.uniform(low, high, max(2, int(count / RATE_HZ / every_s) + 3))
    return np.interp(np.arange(count) / RATE_HZ, np.arange(len(knots)) * every_s, knots)


def envelope(count: int, begin: int, end: int, attack_s: float = 0.01, release_s: float = 0.02) -> Sound:
    """1 between two samples, with ramps."""
    at = np.arange(count, dtype=float)
    up = np.clip((at - begin) / max(1.0, attack_s * RATE_HZ), 0, 1)
    down = np.clip((end - at) / max(1.0, release_s * RATE_HZ), 0, 1)
    return up * down


def echo(random: np.random.Generator, sound: Sound, reverb_s: float, wet: float) -> Sound:
    """Walls: noise that decays by 60 dB in reverb_s, with a few early reflections."""
    length = max(2, round(reverb_s * RATE_HZ))
    tail = random.normal(size=length) * 10 ** (-3 * np.arange(length) / length)
    tail *= wet / np.sqrt((tail**2).sum())
    for _ in range(4):
        tail[int(random.uniform(0.005, 0.12) * min(length, RATE_HZ)) % length] += wet * random.uniform(-0.5, 0.5)
    size = len(sound) + length
    fast = 1 << (size - 1).bit_length()
    wetted = np.fft.irfft(np.fft.rfft(sound, fast) * np.fft.rfft(tail, fast), fast)[: len(sound)]
    return sound + wetted


def coloured(random: np.random.Generator, sound: Sound, most_db: float = 8.0) -> Sound:
    """What horn, air and microphone do to a spectrum: a smooth random gain by octaves."""
    hz = np.fft.rfftfreq(len(sound), 1 / RATE_HZ)
    knots = np.array([60, 125, 250, 500, 1000, 2000, 4000, 8000.0])
    gain_db = np.interp(np.log(np.maximum(hz, 60)), np.log(knots), random.uniform(-most_db, most_db, len(knots)))
    return np.fft.irfft(np.fft.rfft(sound) * 10 ** (gain_db / 20), len(sound))


def levelled(sound: Sound, rms: float) -> Sound:
    return sound * (rms / max(1e-9, float(np.sqrt((sound**2).mean()))))
