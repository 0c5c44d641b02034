"""Another sample rate, piece by piece: interpolation by a windowed sinc (Smith, "Digital Audio Resampling", 1984)."""

from __future__ import annotations

import numpy as np

from agent.sound.port import RATE_HZ, Samples

_ZEROS = 12


class Resampler:
    """Feed pieces of one stream in order; what comes out has RATE_HZ. Delays by _ZEROS samples of the lower rate."""

    def __init__(self, rate_hz: int) -> None:
        self._step = rate_hz / RATE_HZ
        self._cut = min(1.0, RATE_HZ / rate_hz)
        self._half = int(np.ceil(_ZEROS / self._cut))
        self._held = np.zeros(self._half, np.float32)
        self._next = float(self._half)

    def feed(self, samples: Samples) -> Samples:
        if self._step == 1.0:
            return np.asarray(samples, np.float32)
        held = np.concatenate([self._held, np.asarray(samples, np.float32)])
        last = len(held) - self._half
        count = max(0, int(np.ceil((last - self._next) / self._step)))
        places = self._next + self._step * np.arange(count)
        begin = np.floor(places).astype(np.int64)
        offsets = np.arange(-self._half + 1, self._half + 1)
        apart = (places - begin)[:, None] - offsets
        kernel = (
            self._cut * np.sinc(self._cut * apart) * (0.5 + 0.5 * np.cos(np.pi * np.clip(apart / self._half, -1, 1)))
        )
        made = (held[np.clip(begin[:, None] + offsets, 0, len(held) - 1)] * kernel).sum(axis=1)
        after = self._next + self._step * count
        drop = max(0, int(after) - self._half)
        self._held, self._next = held[drop:], after - drop
        return made.astype(np.float32)


def resampled(samples: Samples, rate_hz: int) -> Samples:
    """A whole clip at RATE_HZ."""
    stream = Resampler(rate_hz)
    size = max(1, rate_hz)
    parts = [stream.feed(samples[at : at + size]) for at in range(0, len(samples), size)]
    parts.append(stream.feed(np.zeros(2 * _ZEROS * max(1, rate_hz // RATE_HZ), np.float32)))
    whole = np.concatenate(parts)
    return whole[: round(len(samples) * RATE_HZ / rate_hz)]
