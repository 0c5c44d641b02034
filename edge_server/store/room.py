"""How little room the disk has left, in stages, and what is still stored in each. Pure; times are monotonic.

ok        everything
low       everything; retention is tighter, and an alarm tells
very-low  no readings any more: they are counted and named in `gaps`; alarms and commands are stored
full      the reserve is given up, so that alarms and commands still fit; readings stay with their devices
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Stage = Literal["ok", "low", "very-low", "full"]

STAGES: tuple[Stage, ...] = ("ok", "low", "very-low", "full")
# A stage is left for a better one when there is so much more room than it begins at, and has been for so long.
EASE = 1.25
CALM_MS = 5_000
LEAST_RESERVE_MB, MOST_RESERVE_MB = 4.0, 64.0


@dataclass(frozen=True)
class Marks:
    """low_mb: below this much free space begins `low`; the others follow from it. 0 switches the stages off."""

    low_mb: float = 500.0

    @property
    def reserve_mb(self) -> float:
        """What alarms get once all else is full: thousands of them, and the log of their commits."""
        return min(MOST_RESERVE_MB, max(LEAST_RESERVE_MB, self.low_mb / 30)) if self.low_mb else 0.0

    def begins_mb(self, stage: Stage) -> float:
        return {"ok": float("inf"), "low": self.low_mb, "very-low": self.low_mb / 3, "full": self.low_mb / 10}[stage]


NO_STAGES = Marks(low_mb=0.0)


@dataclass(frozen=True)
class State:
    """better_ms: since when there has been room enough for a better stage; None while there has not."""

    stage: Stage = "ok"
    better_ms: int | None = None


def worse(one: Stage, other: Stage) -> bool:
    return STAGES.index(one) > STAGES.index(other)


def step(state: State, free_mb: float, now_ms: int, marks: Marks) -> State:
    """A worse stage holds at once, a better one only after it was calm for CALM_MS. free_mb: beside the reserve, be it
    there or still to be made, so that giving it up is never taken for room."""
    here = [stage for stage in STAGES if free_mb < marks.begins_mb(stage)][-1]
    if worse(here, state.stage):
        return State(here)
    eased = [stage for stage in STAGES if free_mb < marks.begins_mb(stage) * EASE][-1]
    if not worse(state.stage, eased):
        return replace(state, better_ms=None)
    if state.better_ms is None:
        return replace(state, better_ms=now_ms)
    return State(eased) if now_ms - state.better_ms >= CALM_MS else state
