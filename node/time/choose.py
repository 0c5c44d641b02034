"""Whose time counts, and whether the system's clock is stepped to it. Pure.

NTP comes first: it is the best, and it keeps the clock right by itself. Then GPS, then what the edge server has signed,
then nobody. Whatever tells a date that can't be is refused, also NTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from node.errors import TimeImplausible
from node.time.plausible import check

Source = Literal["ntp", "gps", "edge", "none"]
RANK: tuple[Source, ...] = ("ntp", "gps", "edge")
# Less is not worth a jump; and what might be the source's own error is no reason for one.
STEP_MS = 500
# A crystal of a cheap board: a second in five hours.
DRIFT = 50e-6


@dataclass(frozen=True)
class Reading:
    """offset_ms: how much later the true time is than the system's clock. error_ms: how far that may be off."""

    source: Source
    offset_ms: int
    error_ms: int


@dataclass(frozen=True)
class Verdict:
    """error_ms: None where nobody knows. refused: why readings were not taken. differing: what others say, in words."""

    source: Source = "none"
    offset_ms: int = 0
    error_ms: int | None = None
    refused: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()


def choose(readings: Sequence[Reading], system_ms: int) -> Verdict:
    """system_ms: the system's clock now."""
    good, refused = [], []
    for one in sorted(readings, key=lambda one: RANK.index(one.source)):
        try:
            check(system_ms + one.offset_ms, one.source)
            good.append(one)
        except TimeImplausible as error:
            refused.append(error.cause_text)
    if not good:
        return Verdict(refused=tuple(refused))
    best, *others = good
    differing = tuple(
        f"{one.source} differs by {(one.offset_ms - best.offset_ms) / 1000:+.1f} s"
        for one in others
        if abs(one.offset_ms - best.offset_ms) > one.error_ms + best.error_ms + STEP_MS
    )
    return Verdict(best.source, best.offset_ms, best.error_ms, tuple(refused), differing)


def step_due(verdict: Verdict, *, allowed: bool, stepped: bool) -> bool:
    """Once after each start of the machine; a clock that jumps again and again is worse than one that is off. NTP
    keeps the clock by itself."""
    return (
        allowed
        and not stepped
        and verdict.source in ("gps", "edge")
        and verdict.error_ms is not None
        and abs(verdict.offset_ms) > max(STEP_MS, verdict.error_ms)
    )


def clock_error_ms(verdict: Verdict, age_ms: int = 0) -> int | None:
    """How far the system's clock may be off, so long after the verdict; None where nobody knows."""
    if verdict.error_ms is None:
        return None
    return abs(verdict.offset_ms) + verdict.error_ms + round(age_ms * DRIFT)
