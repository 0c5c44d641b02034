"""The clock port. Decisions are given times; only the outermost shell reads a clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """monotonic_ms never runs backwards and stops for nothing but a reboot; wall_ms may be wrong or jump."""

    def monotonic_ms(self) -> int: ...

    def wall_ms(self) -> int: ...


class SystemClock:
    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that stands still until it is told to move."""

    def __init__(self, monotonic_ms: int = 1_000, wall_ms: int = 1_760_000_000_000) -> None:
        self._monotonic_ms = monotonic_ms
        self._wall_ms = wall_ms

    def monotonic_ms(self) -> int:
        return self._monotonic_ms

    def wall_ms(self) -> int:
        return self._wall_ms

    def advance(self, milliseconds: int) -> None:
        self._monotonic_ms += milliseconds
        self._wall_ms += milliseconds

    def set_wall(self, wall_ms: int) -> None:
        """Set the wall clock alone, as a late NTP answer would."""
        self._wall_ms = wall_ms
