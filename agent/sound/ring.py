"""The last seconds of sound, and never more."""

from __future__ import annotations

import numpy as np

from agent.sound.port import RATE_HZ, Samples

SECONDS = 3.0


class Ring:
    """Holds at most SECONDS; what is older is overwritten in place, and `clear` wipes it all."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._held = np.zeros(round(min(seconds, SECONDS) * RATE_HZ), np.float32)
        self.filled = 0

    def add(self, samples: Samples) -> None:
        size = len(self._held)
        samples = samples[-size:]
        keep = size - len(samples)
        self._held[:keep] = self._held[size - keep :].copy() if keep else self._held[:0]
        self._held[keep:] = samples
        self.filled = min(size, self.filled + len(samples))

    @property
    def full(self) -> bool:
        return self.filled == len(self._held)

    def samples(self) -> Samples:
        """What is held, the oldest first: a copy, for one look."""
        return self._held[len(self._held) - self.filled :].copy()

    def clear(self) -> None:
        self._held[:] = 0
        self.filled = 0
