"""Asking for the time, and stepping the system's clock to it where that is allowed: once after each start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from node.errors import TimeNotSettable
from node.time import report
from node.time.choose import Verdict, choose, step_due
from node.time.gather import Heard
from node.time.report import Report
from node.trust.known_time import since_boot_ms, this_boot

Setter = Callable[[int], None]


@dataclass(frozen=True)
class Outcome:
    """verdict: as found, before any step. stepped_ms: by how much the clock was stepped just now, 0: not.
    earlier_ms: by how much it had been in this boot already."""

    verdict: Verdict
    stepped_ms: int = 0
    earlier_ms: int = 0


def settle(
    home: Path,
    ask: Callable[[], Heard],
    *,
    allowed: bool,
    setter: Setter | None,
    wall_ms: Callable[[], int],
    boot: Callable[[], str] = this_boot,
) -> Outcome:
    """setter: None for a dry run, which sets and keeps nothing. Raises TimeNotSettable (KF198)."""
    last = report.load(home, boot)
    earlier_ms = last.stepped_ms if last is not None else 0
    verdict = choose(ask().readings, wall_ms())
    due = step_due(verdict, allowed=allowed, stepped=earlier_ms != 0)
    outcome = Outcome(verdict, verdict.offset_ms if due else 0, earlier_ms)
    if setter is None:
        return outcome
    if due:
        try:
            setter(wall_ms() + verdict.offset_ms)
        except OSError as error:
            raise TimeNotSettable(detail=error.strerror or str(error)) from error
    report.keep(
        home,
        Report(
            boot(),
            verdict.source,
            0 if due else verdict.offset_ms,
            verdict.error_ms,
            since_boot_ms(),
            outcome.stepped_ms or earlier_ms,
        ),
    )
    return outcome
