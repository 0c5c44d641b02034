"""A sound file as a source: at its own pace, over and over, as a microphone would give it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from agent.sound.port import RATE_HZ, Block
from agent.sound.resample import resampled
from agent.sound.wav import read_wav
from node.clock import Clock

BLOCK_MS = 250


class FileSound:
    """live: paced by the clock and repeated; else as fast as it is read, once. Raises SoundUnreadable (KF79)."""

    def __init__(
        self, path: Path, clock: Clock, live: bool = True, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        wav = read_wav(path)
        self._samples = resampled(wav.samples, wav.rate_hz)
        self._clock, self._live, self._sleep = clock, live, sleep
        self._began_ms = clock.monotonic_ms()
        self._played = 0

    def read(self) -> Block | None:
        size = RATE_HZ * BLOCK_MS // 1000
        at = self._played % len(self._samples)
        if self._played and at == 0 and not self._live:
            return None
        part = self._samples[at : at + size]
        self._played += len(part)
        ends_ms = self._began_ms + self._played * 1000 // RATE_HZ
        if self._live:
            wait_ms = ends_ms - self._clock.monotonic_ms()
            if wait_ms > 0:
                self._sleep(wait_ms / 1000)
        return Block(part, ends_ms)

    def close(self) -> None:
        self._samples = self._samples[:0]
