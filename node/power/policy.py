"""What to do about the mains: (state, reading) -> (state, effects). Times are monotonic milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Effect = Literal["on-battery", "mains-back", "silent", "heard", "shut-down"]
# A UPS that doesn't answer for this long is told of.
SILENT_MS = 30_000


@dataclass(frozen=True)
class Reading:
    """low: the UPS itself says that its battery is nearly empty. charge_percent: None where it is not known."""

    on_battery: bool
    charge_percent: float | None = None
    low: bool = False


@dataclass(frozen=True)
class Limits:
    low_percent: float = 20.0
    low_after_ms: int = 300_000


@dataclass(frozen=True)
class State:
    """battery_since_ms: since when the mains are out, None while they are on. heard_ms: of the last answer."""

    heard_ms: int
    battery_since_ms: int | None = None
    charge_known: bool = False
    silent: bool = False
    ending: bool = False


def step(state: State, reading: Reading | None, now_ms: int, limits: Limits) -> tuple[State, tuple[Effect, ...]]:
    """reading: None where the UPS did not answer. `shut-down` is said once; nothing takes it back."""
    effects: list[Effect] = []
    if reading is None:
        if not state.silent and now_ms - state.heard_ms >= SILENT_MS:
            state = replace(state, silent=True)
            effects.append("silent")
    else:
        if state.silent:
            effects.append("heard")
        state = replace(state, heard_ms=now_ms, silent=False, charge_known=reading.charge_percent is not None)
        if reading.on_battery and state.battery_since_ms is None:
            state = replace(state, battery_since_ms=now_ms)
            effects.append("on-battery")
        elif not reading.on_battery and state.battery_since_ms is not None:
            state = replace(state, battery_since_ms=None)
            effects.append("mains-back")
    if not state.ending and _is_low(state, reading, now_ms, limits):
        state = replace(state, ending=True)
        effects.append("shut-down")
    return state, tuple(effects)


def _is_low(state: State, reading: Reading | None, now_ms: int, limits: Limits) -> bool:
    """A UPS that falls silent while the mains are out may be dead already: then time alone counts."""
    if state.battery_since_ms is None:
        return False
    if reading is not None and reading.low:
        return True
    if reading is not None and reading.charge_percent is not None:
        return reading.charge_percent <= limits.low_percent
    if reading is None and state.charge_known and not state.silent:
        return False
    return now_ms - state.battery_since_ms >= limits.low_after_ms
