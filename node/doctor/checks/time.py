from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from node.doctor.check import Context
from node.errors import TimeOff
from node.time.choose import Verdict
from node.time.standing import standing, words

# Certificates and what a person reads beside a picture still come right; a plan by the time of day as well.
FINE_MS = 30_000


class TimeSource:
    title = "Somebody keeps the clock right"
    error = TimeOff

    def __init__(self, look: Callable[[Path], Verdict] | None = None) -> None:
        self._look = look

    def run(self, context: Context) -> str:
        look = self._look or (lambda home: standing(home, context.clock.wall_ms))
        verdict = look(context.home)
        if verdict.error_ms is not None and abs(verdict.offset_ms) - verdict.error_ms > FINE_MS:
            raise TimeOff(off_s=f"{-verdict.offset_ms / 1000:+.0f}", source=verdict.source)
        return words(verdict)
