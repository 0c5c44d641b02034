"""A wall clock that is wrong on demand: a simulation, for processes of the bench alone."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from node.clock import SystemClock

READ_EVERY_S = 0.1


class ShiftedClock(SystemClock):
    """This machine's clock plus the seconds that stand in `file`; a file that is absent shifts nothing."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read_at = 0.0
        self._shift_ms = 0

    def wall_ms(self) -> int:
        now = time.monotonic()
        if now - self._read_at >= READ_EVERY_S:
            self._read_at = now
            self._shift_ms = read_shift_ms(self._file)
        return super().wall_ms() + self._shift_ms


def read_shift_ms(file: Path) -> int:
    with suppress(OSError, ValueError):
        return round(1000 * float(file.read_text("ascii")))
    return 0


def shift(file: Path, seconds: float) -> None:
    new = file.with_suffix(".new")
    new.write_text(f"{seconds}\n", "ascii")
    new.replace(file)
