"""The simulated NTCIP controller as a pure machine: two rings, a barrier, and the control objects that act on them.

By itself (no system, or backup mode) it runs every phase in its turn for its maximum green. Under systemPatternControl
254 it is free: it serves who is called. Whatever is written to it, minimum green, walk, pedestrian clearance, yellow
and red clearance run their time, and what goes to the lamps passes the monitor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from edge_server.cabinet.ntcip import objects
from sim_devices.ntcip.card import RINGS, SIDES, Card, ring_of, side_of
from sim_devices.ntcip.monitor import Monitor, Output, watch

STEP_MS = 100
SLOW_MS = 3_000

# What can be wrong on demand. ignores: acknowledges what is written and drops it. slow: what is written acts three
# seconds late. contrary: ends what it is to hold, and holds what it is to end. conflict: lights a conflicting phase.
# short-yellow: cuts yellow. dead: answers nobody, lamps dark. read-only: refuses to be written to. no-backup:
# unitBackupTime becomes 0. railway: the input of pre-empt 1 is on. other-system: somebody else writes a hold. manual:
# somebody works it by hand.
Fault = Literal[
    "ignores", "slow", "contrary", "conflict", "short-yellow", "dead", "read-only", "no-backup", "railway",
    "other-system", "manual",
]  # fmt: skip

NOBODY: frozenset[int] = frozenset()
Columns = Mapping[int, frozenset[int]]


@dataclass(frozen=True)
class Head:
    """vehicle: red, green, yellow, red-clear. walk: dont-walk, walk, clear. Both with since when."""

    vehicle: str = "red"
    since_ms: int = 0
    walk: str = "dont-walk"
    walk_ms: int = 0


@dataclass(frozen=True)
class State:
    """columns: phaseControlGroupTable as it is read back. acting: the same as it acts (a slow one acts late).
    system_ms: since when the backup timer runs; None in backup mode, and before anything was ever written. calls,
    ped_calls: what detectors and buttons hold. last: the phase that each ring served last on this side of the barrier,
    0 for none yet."""

    card: Card
    now_ms: int
    started_ms: int
    heads: Mapping[int, Head]
    side: int = 0
    last: tuple[int, int] = (0, 0)
    calls: frozenset[int] = NOBODY
    ped_calls: frozenset[int] = NOBODY
    columns: Columns = field(default_factory=dict)
    acting: Columns = field(default_factory=dict)
    late: tuple[tuple[int, Columns], ...] = ()
    pattern: int = 0
    preempts: frozenset[int] = NOBODY
    system_ms: int | None = None
    backup: bool = False
    monitor: Monitor = field(default_factory=Monitor)
    fault: Fault | None = None

    @property
    def backup_s(self) -> int:
        return 0 if self.fault == "no-backup" else self.card.backup_s

    @property
    def free(self) -> bool:
        return self.pattern == objects.FREE

    @property
    def preempt(self) -> int | None:
        """The pre-empt that runs: the lowest number first, as a railway's is."""
        wanted = self.preempts | ({1} if self.fault == "railway" else NOBODY)
        return min((one for one in wanted if one <= len(self.card.preempts)), default=None)

    @property
    def outputs(self) -> dict[int, Output]:
        """What the lamps get."""
        shown = {
            phase: ("red" if head.vehicle == "red-clear" else head.vehicle, head.walk)
            for phase, head in self.heads.items()
        }
        if self.fault == "conflict":
            lit = next((one for one, (vehicle, _) in shown.items() if vehicle == "green"), None)
            foe = next((one for one in shown if lit is not None and side_of(one) != side_of(lit)), None)
            if foe is not None:
                shown[foe] = ("green", shown[foe][1])
        return shown

    @property
    def flash(self) -> str | None:
        return self.monitor.tripped


def boot(card: Card, now_ms: int) -> State:
    """Switched on: all red."""
    return State(card, now_ms, now_ms, {phase: Head("red-clear", now_ms, "dont-walk", now_ms) for phase in card.phases})


def advance(state: State, dt_ms: int) -> State:
    """Time passes, in steps of 100 ms at most."""
    while dt_ms > 0:
        state = _step(state, min(dt_ms, STEP_MS))
        dt_ms -= STEP_MS
    return state


def call(state: State, phase: int, *, walks: bool = False) -> State:
    """Somebody drives over a detector, or presses a button."""
    if walks:
        return replace(state, ped_calls=state.ped_calls | {phase})
    return replace(state, calls=state.calls | {phase})


def spoil(state: State, fault: Fault | None) -> State:
    """A fault begins; None ends it and resets the monitor, from all red."""
    if fault is None and (state.monitor.tripped is not None or state.fault == "dead"):
        heads = boot(state.card, state.now_ms).heads
        state = replace(state, heads=heads, monitor=Monitor())
    state = replace(state, fault=fault)
    if fault == "other-system":
        return write(replace(state, fault=None), {objects.HOLD: frozenset({min(state.card.phases)})})
    return state


def write(
    state: State, columns: Columns, pattern: int | None = None, preempts: Mapping[int, bool] | None = None
) -> State:
    """One message of a system. Any of it starts the backup timer anew."""
    state = replace(state, system_ms=state.now_ms, backup=False)
    if state.fault == "ignores":
        return state
    kept = {**state.columns, **columns}
    asked = {one for one, on in (preempts or {}).items() if on}
    state = replace(
        state,
        columns=kept,
        pattern=state.pattern if pattern is None else pattern,
        preempts=(state.preempts - set(preempts or {})) | asked,
    )
    if state.fault == "slow":
        return replace(state, late=(*state.late, (state.now_ms + SLOW_MS, kept)))
    return replace(state, acting=kept)


def _step(state: State, dt_ms: int) -> State:
    state = replace(state, now_ms=state.now_ms + dt_ms)
    due = [columns for at_ms, columns in state.late if at_ms <= state.now_ms]
    if due:
        state = replace(state, acting=due[-1], late=tuple(one for one in state.late if one[0] > state.now_ms))
    if state.system_ms is not None and state.backup_s and state.now_ms - state.system_ms >= state.backup_s * 1000:
        # NTCIP 1202, unitBackupTime: what the system wrote is over.
        state = replace(state, columns={}, acting={}, late=(), pattern=0, preempts=NOBODY, system_ms=None, backup=True)
    if state.monitor.tripped is None and state.fault != "dead":
        state = _rings(state)
    monitor = watch(state.monitor, state.outputs, state.now_ms)
    if monitor.tripped is not None and state.monitor.tripped is None:
        state = replace(state, columns={}, acting={}, late=(), pattern=0, preempts=NOBODY, system_ms=None)
    return replace(state, monitor=monitor)


def _rings(state: State) -> State:
    effects = _Effects(state)
    heads = dict(state.heads)
    for phase, head in state.heads.items():
        heads[phase] = _walk(state, effects, phase, _clear(state, phase, head))
    state = replace(state, heads=heads)
    ending = {one for one, head in heads.items() if head.vehicle == "green" and effects.ends(state, one)}
    heads |= {one: replace(heads[one], vehicle="yellow", since_ms=state.now_ms) for one in ending}
    # The device itself takes a force-off back once its green is over.
    state = replace(state, heads=heads, **{
        name: {column: phases - ending if column == objects.FORCE_OFF else phases for column, phases in was.items()}
        for name, was in (("columns", state.columns), ("acting", state.acting))
    })  # fmt: skip
    return _start(state, effects)


def _clear(state: State, phase: int, head: Head) -> Head:
    times, shown_ms = state.card.phases[phase], state.now_ms - head.since_ms
    yellow_ms = 1_000 if state.fault == "short-yellow" else times.yellow_ms
    if head.vehicle == "yellow" and shown_ms >= yellow_ms:
        return replace(head, vehicle="red-clear", since_ms=state.now_ms)
    if head.vehicle == "red-clear" and shown_ms >= times.red_ms:
        return replace(head, vehicle="red", since_ms=head.since_ms)
    return head


def _walk(state: State, effects: _Effects, phase: int, head: Head) -> Head:
    times, shown_ms = state.card.phases[phase], state.now_ms - head.walk_ms
    if head.walk == "walk" and shown_ms >= times.walk_ms:
        return replace(head, walk="clear", walk_ms=state.now_ms)
    if head.walk == "clear" and shown_ms >= times.clear_ms:
        return replace(head, walk="dont-walk", walk_ms=state.now_ms)
    # Called during a green that nobody waits for the end of, or that is held, walk comes (again).
    if head.vehicle == "green" and head.walk == "dont-walk" and effects.walks(state, phase):
        called = phase in state.ped_calls or phase in effects.column(objects.PED_CALL)
        resting = phase in effects.hold or not effects.rivals(state, phase)
        if called and resting and phase not in effects.force_off:
            return replace(head, walk="walk", walk_ms=state.now_ms)
    return head


def _start(state: State, effects: _Effects) -> State:
    """Each ring that serves nobody begins its next phase; both cross the barrier together."""
    active = [_active(state, ring) for ring in range(2)]
    nexts = [None if active[ring] else effects.next_of(state, ring) for ring in range(2)]
    if active == [None, None] and not any(one is not None and side_of(one) == state.side for one in nexts):
        if not effects.called(state, 1 - state.side):
            return state
        state = replace(state, side=1 - state.side, last=(0, 0))
        nexts = [effects.next_of(state, ring) for ring in range(2)]
    heads, last, served = dict(state.heads), list(state.last), set()
    for ring, phase in enumerate(nexts):
        if phase is None or side_of(phase) != state.side:
            continue
        walks = effects.walks(state, phase) and effects.ped_called(state, phase)
        walk = ("walk", state.now_ms) if walks else (heads[phase].walk, heads[phase].walk_ms)
        heads[phase] = Head("green", state.now_ms, *walk)
        last[ring] = phase
        served.add(phase)
    walked = {one for one in state.ped_calls if heads[one].walk == "walk"}
    return replace(
        state, heads=heads, last=(last[0], last[1]), calls=state.calls - served, ped_calls=state.ped_calls - walked
    )


def _active(state: State, ring: int) -> int | None:
    return next((one for one in RINGS[ring] if one in state.heads and state.heads[one].vehicle != "red"), None)


class _Effects:
    """The control objects as they act now: a pre-empt's, the system's, or none."""

    def __init__(self, state: State) -> None:
        self._columns = state.acting
        dwell = state.card.preempts[state.preempt - 1] if state.preempt is not None else None
        self._dwell = dwell
        self.hold, self.force_off = self.column(objects.HOLD), self.column(objects.FORCE_OFF)
        self.omit = self.column(objects.PHASE_OMIT)
        if state.fault == "contrary" and any(self._columns.values()):
            everybody = frozenset(state.card.phases)
            self.hold, self.force_off = everybody - self.hold, self.hold
            self.omit = self.column(objects.VEH_CALL)
        if dwell is not None:
            others = frozenset(state.card.phases) - dwell
            self.hold, self.force_off, self.omit = dwell, others, others

    def column(self, column: int) -> frozenset[int]:
        return self._columns.get(column, NOBODY)

    def walks(self, state: State, phase: int) -> bool:
        return bool(state.card.phases[phase].walk_ms) and phase not in self.column(objects.PED_OMIT)

    def ped_called(self, state: State, phase: int) -> bool:
        if self._dwell is not None:
            return False
        return phase in state.ped_calls or phase in self.column(objects.PED_CALL) or not state.free

    def serviceable(self, state: State, phase: int) -> bool:
        if phase not in state.card.phases or phase in self.omit:
            return False
        if self._dwell is not None:
            return phase in self._dwell
        # By itself it serves every phase in its turn; free, those that somebody calls.
        called = phase in state.calls or phase in self.column(objects.VEH_CALL) or self.ped_called(state, phase)
        contrary = state.fault == "contrary" and bool(self._columns)
        return called or not state.free or contrary

    def called(self, state: State, side: int) -> bool:
        return any(self.serviceable(state, one) for one in SIDES[side])

    def rivals(self, state: State, phase: int) -> bool:
        """Is there anybody to end this phase for?"""
        same_ring = [one for one in RINGS[ring_of(phase)] if one != phase and side_of(one) == side_of(phase)]
        return any(self.serviceable(state, one) for one in same_ring) or self.called(state, 1 - side_of(phase))

    def next_of(self, state: State, ring: int) -> int | None:
        """The ring's next phase: on this side of the barrier while there is one after the last, then across it, and
        round again on this side when nobody waits there."""
        here = [one for one in RINGS[ring] if side_of(one) == state.side and self.serviceable(state, one)]
        after = [one for one in here if one > state.last[ring]]
        if after:
            return after[0]
        if self.called(state, 1 - state.side):
            return next(
                (one for one in RINGS[ring] if side_of(one) != state.side and self.serviceable(state, one)), None
            )
        return next((one for one in here if one != _active(state, ring)), None)

    def ready(self, state: State, phase: int) -> bool:
        """Its own times are over, and nothing holds it."""
        head, times = state.heads[phase], state.card.phases[phase]
        if head.vehicle != "green" or phase in self.hold or head.walk != "dont-walk":
            return False
        green_ms = state.now_ms - head.since_ms
        if green_ms < times.min_green_ms:
            return False
        over = green_ms >= times.max_ms or (state.free and phase not in self.column(objects.VEH_CALL))
        return phase in self.force_off or over

    def ends(self, state: State, phase: int) -> bool:
        if not self.ready(state, phase) or not self.rivals(state, phase):
            return False
        after = self.next_of(state, ring_of(phase))
        if after is not None and side_of(after) == state.side:
            return True
        other = _active(state, 1 - ring_of(phase))
        if other is None or state.heads[other].vehicle != "green":
            return True
        beyond = self.next_of(state, 1 - ring_of(phase))
        return self.ready(state, other) and (beyond is None or side_of(beyond) != state.side)
