"""A gateway as a pure machine: (state, event) -> (state, effects).

It stands before one cabinet, grants the lease, and tells what the lamps show. It commands nothing by itself: without a
lease it wishes for nothing, and the cabinet runs its own plan. Times are milliseconds on the gateway's monotonic clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from edge_server.cabinet import acceptance
from edge_server.cabinet.acceptance import Register
from edge_server.cabinet.place import Place
from edge_server.cabinet.port import Reading, Wish
from edge_server.cabinet.wire import Control, EpochTaken, Received, Report, due, with_beat
from protocol.ids import BootId, PhaseId
from protocol.messages import CommandOutcome, Lease, PhaseState, SignalCommand

# What was read longer ago says nothing of the lamps now: no heartbeat is made of it.
READ_MAX_AGE_MS = 1_000
# A cabinet that has not been read for longer has nobody who steers it.
LOST_MS = 1_500
# A walk that does not come within this long of its stage is not waited for: its controller serves it another time.
WALK_PATIENCE_MS = 6_000


@dataclass(frozen=True)
class Tick:
    """Time passes."""

    now_ms: int


@dataclass(frozen=True)
class Looked:
    """The cabinet was read."""

    reading: Reading


Event = Tick | Received | Looked


Effect = Report | EpochTaken


@dataclass(frozen=True)
class State:
    """read_ms: when the cabinet was last read. since_ms: when each phase was first seen to show what it shows.
    called_ms: since when somebody waits. wish: what the lease asks for, wished_ms since when. over: pedestrian phases
    of the wish whose walk is over, or did not come. beats: when each heartbeat of the last 1.5 s went out."""

    place: Place
    boot: BootId
    now_ms: int
    register: Register
    reading: Reading | None = None
    read_ms: int = 0
    since_ms: Mapping[PhaseId, int] = field(default_factory=dict)
    called_ms: Mapping[PhaseId, int] = field(default_factory=dict)
    asked: Wish = field(default_factory=lambda: Wish(frozenset()))
    over: frozenset[PhaseId] = frozenset()
    counter: int = 0
    beats: Mapping[int, int] = field(default_factory=dict)
    last_command: CommandOutcome | None = None

    @property
    def control(self) -> Control:
        if self.reading is not None and self.reading.flash is not None:
            return "flash"
        return "edge" if self.register.holder is not None else "local"

    @property
    def wish(self) -> Wish | None:
        """What the cabinet is to be asked for; None while nobody holds the lease."""
        if self.register.holder is None:
            return None
        return replace(self.asked, phases=self.asked.phases - self.over)

    @property
    def target(self) -> frozenset[PhaseId]:
        wish = self.wish
        if wish is not None:
            return wish.phases
        return self.reading.serving if self.reading is not None else frozenset()


def boot(place: Place, boot_id: BootId, now_ms: int, highest_epoch: int = 0) -> State:
    return State(place, boot_id, now_ms, Register(highest_epoch))


def step(state: State, event: Event) -> tuple[State, tuple[Effect, ...]]:
    before, answered = state, False
    match event:
        case Tick(now_ms):
            state = replace(state, now_ms=max(state.now_ms, now_ms))
        case Looked(reading):
            state = _looked(state, reading)
        case Received(command):
            state, answered = _judge(_lapse(state), command), True
    return _effects(before, _lapse(state), answered)


def _looked(state: State, reading: Reading) -> State:
    now_ms = state.now_ms
    was = state.reading.aspects if state.reading is not None else {}
    since = {
        phase: state.since_ms[phase] if was.get(phase) == aspect else now_ms
        for phase, aspect in reading.aspects.items()
    }
    called = {phase: state.called_ms.get(phase, now_ms) for phase in sorted(reading.calls)}
    state = replace(state, reading=reading, read_ms=now_ms, since_ms=since, called_ms=called)
    walked = frozenset(
        phase
        for phase in state.asked.phases & state.place.pedestrians
        if was.get(phase) == "walk" and reading.aspects.get(phase) != "walk"
    )
    return replace(state, over=state.over | walked | _not_coming(state))


def _not_coming(state: State) -> frozenset[PhaseId]:
    """Walks of the wish that did not begin, though their stage has been green for long."""
    assert state.reading is not None
    walks = state.asked.phases & state.place.pedestrians
    missing = walks - state.reading.serving
    vehicles = state.asked.phases - walks
    if not missing or not vehicles or not vehicles <= state.reading.serving:
        return frozenset()
    begun_ms = max(state.since_ms[phase] for phase in vehicles)
    return missing if state.now_ms - begun_ms > WALK_PATIENCE_MS else frozenset()


def _judge(state: State, command: SignalCommand) -> State:
    refusal = acceptance.refusal(
        state.place, state.register, command, boot=state.boot, beats=state.beats, now_ms=state.now_ms
    )
    if state.reading is None or state.reading.flash is not None:
        refusal = "fault"
    elif state.reading.unfit is not None:
        refusal = "not-taking-commands"
    state = replace(state, last_command=CommandOutcome(command.id, refusal))
    if refusal is not None:
        return state
    wish = Wish(frozenset(command.phases), command.controller)
    # A walk that is over stays over while the same is asked for again.
    over = state.over if wish.phases == state.asked.phases else frozenset()
    return replace(state, register=acceptance.taken(state.register, command, state.now_ms), asked=wish, over=over)


def _lapse(state: State) -> State:
    holder, reading = state.register.holder, state.reading
    if holder is None:
        return state
    lost = reading is None or state.now_ms - state.read_ms > LOST_MS
    unfit = reading is not None and (reading.flash is not None or reading.unfit is not None)
    if state.now_ms < holder.until_ms and not lost and not unfit:
        return state
    register = replace(state.register, holder=None)
    return replace(state, register=register, asked=Wish(frozenset()), over=frozenset())


def _effects(before: State, state: State, answered: bool) -> tuple[State, tuple[Effect, ...]]:
    effects: list[Effect] = []
    if state.register.highest_epoch != before.register.highest_epoch:
        effects.append(EpochTaken(state.register.highest_epoch))
    if state.reading is None or state.now_ms - state.read_ms > READ_MAX_AGE_MS:
        return state, tuple(effects)
    if answered or _news(before, state) or due(state.beats, state.now_ms):
        state = _beat(state)
        effects.append(_report(state, state.reading))
    return state, tuple(effects)


def _news(before: State, state: State) -> bool:
    was = before.reading
    if was is None or state.reading is None:
        return True
    return (was.aspects, was.flash, was.unfit, before.control, before.target, before.called_ms.keys()) != (
        state.reading.aspects, state.reading.flash, state.reading.unfit, state.control, state.target,
        state.called_ms.keys(),
    )  # fmt: skip


def _beat(state: State) -> State:
    counter = state.counter + 1
    return replace(state, counter=counter, beats=with_beat(state.beats, counter, state.now_ms))


def _report(state: State, reading: Reading) -> Report:
    holder, now_ms = state.register.holder, state.now_ms
    return Report(
        intersection=state.place.intersection,
        counter=state.counter,
        control=state.control,
        phases=tuple(
            PhaseState(phase, aspect, now_ms - state.since_ms[phase]) for phase, aspect in reading.aspects.items()
        ),
        target=tuple(sorted(state.target)),
        highest_epoch=state.register.highest_epoch,
        lease=Lease(holder.edge, state.register.highest_epoch, holder.until_ms - now_ms) if holder else None,
        last_command=state.last_command,
        calls=tuple((phase, now_ms - since_ms) for phase, since_ms in state.called_ms.items()),
        fault=(reading.flash or reading.unfit or "")[:500] or None,
    )
