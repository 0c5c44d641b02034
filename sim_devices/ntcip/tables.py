"""The simulated controller's management information: what each object reads as, and what a write does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_server.cabinet.ntcip import objects
from edge_server.cabinet.ntcip.objects import Oid
from sim_devices.ntcip.card import SIDES, ring_of, side_of
from sim_devices.ntcip.core import State, write

DESCRIPTION = "Kinflow simulated NTCIP 1202 controller"
PHASES = 8
ENABLED = objects.PHASE_ENABLED


@dataclass(frozen=True)
class Refused(Exception):
    """index: which of the values, from 1. kind: read-only, value, unknown."""

    kind: str
    index: int


def read(state: State, oid: Oid) -> int | bytes | None:
    """None: there is no such object."""
    scalars: dict[Oid, int | bytes] = {
        objects.SYS_DESCR: DESCRIPTION.encode(),
        objects.SYS_UP_TIME: (state.now_ms - state.started_ms) // 10,
        objects.MAX_PHASES: PHASES,
        objects.MAX_PHASE_GROUPS: 1,
        objects.UNIT_BACKUP_TIME: state.backup_s,
        objects.UNIT_CONTROL_STATUS: _control_status(state),
        objects.UNIT_FLASH_STATUS: 6 if state.flash is not None else objects.NOT_FLASH,
        objects.COORD_PATTERN_STATUS: state.pattern or 1,
        objects.SYSTEM_PATTERN_CONTROL: state.pattern,
        objects.MAX_PREEMPTS: len(state.card.preempts),
    }
    if oid in scalars:
        return scalars[oid]
    for prefix, reader in ((objects.phase_table, _phase), (objects.status, _status), (objects.control, _control)):
        base = prefix(0, 0)[:-2]
        if oid[:-2] == base:
            return reader(state, oid[-2], oid[-1])
    if oid[:-1] == objects.preempt_state(0)[:-1] and 1 <= oid[-1] <= len(state.card.preempts):
        return _preempt(state, oid[-1])
    if oid[:-1] == objects.preempt_control(0)[:-1] and 1 <= oid[-1] <= len(state.card.preempts):
        return int(oid[-1] in state.preempts)
    return None


def change(state: State, values: Mapping[Oid, int]) -> State:
    """One message's values: all of them, or Refused."""
    columns: dict[int, frozenset[int]] = {}
    preempts: dict[int, bool] = {}
    pattern = None
    for index, (oid, value) in enumerate(values.items(), 1):
        if state.fault == "read-only":
            raise Refused("read-only", index)
        if oid[:-2] == objects.control(0, 0)[:-2] and oid[-1] == 1 and oid[-2] in objects.CONTROLS:
            if not 0 <= value <= 255:
                raise Refused("value", index)
            columns[oid[-2]] = objects.phases_in({1: value})
        elif oid == objects.SYSTEM_PATTERN_CONTROL and 0 <= value <= 255:
            pattern = value
        elif oid[:-1] == objects.preempt_control(0)[:-1] and 1 <= oid[-1] <= len(state.card.preempts):
            preempts[oid[-1]] = bool(value)
        else:
            raise Refused("unknown" if read(state, oid) is None else "read-only", index)
    return write(state, columns, pattern, preempts)


def _control_status(state: State) -> int:
    if state.fault == "manual":
        return 5
    return 4 if state.backup else 2 if state.system_ms is not None else 6


def _phase(state: State, column: int, phase: int) -> int | bytes | None:
    if not 1 <= phase <= PHASES:
        return None
    times = state.card.phases.get(phase)
    if times is None:
        return 0 if column == objects.PHASE_OPTIONS else None
    beside = bytes(one for one in sorted(SIDES[side_of(phase)]) if ring_of(one) != ring_of(phase))
    return {
        1: phase,
        objects.PHASE_WALK: times.walk_ms // 1000,
        objects.PHASE_PEDESTRIAN_CLEAR: times.clear_ms // 1000,
        objects.PHASE_MINIMUM_GREEN: times.min_green_ms // 1000,
        objects.PHASE_MAXIMUM_1: times.max_ms // 1000,
        objects.PHASE_YELLOW_CHANGE: times.yellow_ms // 100,
        objects.PHASE_RED_CLEAR: times.red_ms // 100,
        objects.PHASE_OPTIONS: ENABLED,
        objects.PHASE_RING: ring_of(phase) + 1,
        objects.PHASE_CONCURRENCY: beside,
    }.get(column)


def _status(state: State, column: int, group: int) -> int | None:
    if group != 1:
        return None
    shown = state.outputs
    if state.flash is not None:
        shown = dict.fromkeys(shown, ("red", "dont-walk"))
    found = {
        objects.REDS: {one for one, (vehicle, _) in shown.items() if vehicle == "red"},
        objects.YELLOWS: {one for one, (vehicle, _) in shown.items() if vehicle == "yellow"},
        objects.GREENS: {one for one, (vehicle, _) in shown.items() if vehicle == "green"},
        objects.DONT_WALKS: {one for one, (_, walk) in shown.items() if walk == "dont-walk"},
        objects.PED_CLEARS: {one for one, (_, walk) in shown.items() if walk == "clear"},
        objects.WALKS: {one for one, (_, walk) in shown.items() if walk == "walk"},
        objects.VEH_CALLS: set(state.calls),
        objects.PED_CALLS: set(state.ped_calls),
        objects.PHASE_ONS: {one for one, head in state.heads.items() if head.vehicle in ("green", "yellow")},
    }
    return objects.mask(found[column], 1) if column in found else None


def _control(state: State, column: int, group: int) -> int | None:
    if group != 1 or column not in objects.CONTROLS:
        return None
    return objects.mask(state.columns.get(column, frozenset()), 1)


def _preempt(state: State, number: int) -> int:
    if state.preempt == number:
        dwell = state.card.preempts[number - 1]
        greens = {one for one, head in state.heads.items() if head.vehicle == "green"}
        return 6 if greens == dwell else 4
    called = number in state.preempts
    return objects.PREEMPT_CALLED if called else objects.PREEMPT_NOT_ACTIVE
