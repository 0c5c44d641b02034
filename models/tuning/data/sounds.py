"""Sounds as spectrograms: batch x 1 x bands x frames, the logarithm of energy in bands of the mel scale (2595 log10(1 +
f / 700): Stevens and others 1937, in O'Shaughnessy's form)."""

from __future__ import annotations

import wave
from functools import cache
from pathlib import Path

import numpy as np

from models.tuning.graph import Array, Shape

ENDINGS = frozenset({".wav"})
RATE_HZ = 8_000
WINDOW, HOP = 256, 128


def read_sound(path: Path, shape: Shape) -> Array:
    """shape: 1, bands, frames. Mono at 8 kHz; what is longer is cut, what is shorter is silence at its end. ValueError
    if it is no whole PCM file."""
    _, bands, frames = shape
    samples = _samples(path)
    wanted = WINDOW + (frames - 1) * HOP
    samples = np.pad(samples[:wanted], (0, max(wanted - len(samples), 0)))
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP] * np.hanning(WINDOW)
    energy = np.abs(np.fft.rfft(windows, axis=1)) ** 2
    mel = np.log(energy @ filters(bands).T + 1e-6)
    return np.ascontiguousarray((mel - mel.mean()) / (mel.std() + 1e-6), np.float32).T[None].copy()


def _samples(path: Path) -> Array:
    try:
        with wave.open(str(path), "rb") as file:
            rate, width, channels = file.getframerate(), file.getsampwidth(), file.getnchannels()
            data = file.readframes(file.getnframes())
            count = file.getnframes() * width * channels
    except (wave.Error, EOFError, OSError) as error:
        raise ValueError(str(error) or "it ends too early") from error
    if width not in (1, 2, 4) or len(data) < count or not data:
        raise ValueError("it ends too early" if len(data) < count or not data else f"{width} bytes a sample")
    kind = {1: np.uint8, 2: np.int16, 4: np.int32}[width]
    values: Array = np.frombuffer(data, kind).reshape(-1, channels).astype(np.float64).mean(1)
    values = (values - 128) / 128 if width == 1 else values / float(2 ** (8 * width - 1))
    if rate == RATE_HZ:
        return values
    # Averages over the new sample's width keep higher tones from folding back where the rate falls.
    if rate > RATE_HZ:
        width_samples = max(int(rate // RATE_HZ), 1)
        values = np.convolve(values, np.ones(width_samples) / width_samples, "same")
    times = np.arange(0, len(values) / rate, 1 / RATE_HZ)
    sampled: Array = np.interp(times, np.arange(len(values)) / rate, values)
    return sampled


@cache
def filters(bands: int) -> Array:
    """(bands, frequencies): triangles of equal width on the mel scale."""
    top = 2595 * np.log10(1 + RATE_HZ / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    lines = np.fft.rfftfreq(WINDOW, 1 / RATE_HZ)
    rising = (lines - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - lines) / np.diff(edges)[1:, None]
    return np.maximum(np.minimum(rising, falling), 0)
