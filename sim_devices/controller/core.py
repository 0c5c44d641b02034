"""The simulated signal controller as a pure machine: (state, event) -> (state, effects).

It needs nobody: without a lease it runs the site's plan. Whatever is asked of it, minimum green, yellow, pedestrian
clearance and all-red run their time, and walk four seconds of it at least; a conflict monitor that shares no code with
the edge's safety check watches the lamps. Times are milliseconds on the controller's own clock, which `Tick` moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from edge_server.cabinet import acceptance
from edge_server.cabinet.acceptance import Register
from edge_server.cabinet.wire import Control, EpochTaken, Received, Report, due, with_beat
from protocol.ids import BootId, PhaseId
from protocol.messages import CommandOutcome, Lease, PhaseState, SignalCommand
from protocol.messages.heartbeat import Aspect
from sim_devices.controller.lamps import SERVING, Lamp, Lamps, advance, all_red
from sim_devices.controller.wiring import Wiring

SLOW_MS = 1_000

# What can be wrong on demand. dead: dark and silent. deaf: commands are not heard. contrary: takes a command and serves
# another stage. slow: hears a command a second late. conflict: lights a conflicting phase, which trips the monitor.
FaultMode = Literal["dead", "deaf", "contrary", "slow", "conflict"]


@dataclass(frozen=True)
class Tick:
    """Time passes."""

    dt_ms: int


@dataclass(frozen=True)
class Called:
    """Somebody waits for a phase: a push button, a detector."""

    phase: PhaseId


@dataclass(frozen=True)
class Injected:
    """A fault begins; None ends it, and resets the conflict monitor."""

    mode: FaultMode | None


Event = Tick | Received | Called | Injected


@dataclass(frozen=True)
class AspectsChanged:
    """What the lamps show from now on. dark: they show nothing; in flash every phase is red."""

    aspects: Mapping[PhaseId, Aspect]
    control: Control
    dark: bool = False


Effect = Report | AspectsChanged | EpochTaken


@dataclass(frozen=True)
class State:
    """target: what the lamps head for. commanded: what the lease asks for; cuts_walk: a walk that it ends may be cut.
    beats: when each heartbeat of the last 1.5 s went out, by its counter. late: commands that a slow controller has yet
    to hear, and when. tripped: why the conflict monitor took over."""

    wiring: Wiring
    boot: BootId
    now_ms: int
    lamps: Lamps
    register: Register
    target: frozenset[PhaseId] = frozenset()
    commanded: frozenset[PhaseId] = frozenset()
    cuts_walk: bool = False
    counter: int = 0
    beats: Mapping[int, int] = field(default_factory=dict)
    last_command: CommandOutcome | None = None
    calls: Mapping[PhaseId, int] = field(default_factory=dict)
    mode: FaultMode | None = None
    late: tuple[tuple[int, SignalCommand], ...] = ()
    tripped: str | None = None

    @property
    def control(self) -> Control:
        if self.tripped is not None or self.mode == "dead":
            return "flash"
        return "edge" if self.register.holder is not None else "local"

    @property
    def aspects(self) -> dict[PhaseId, Aspect]:
        return {phase: lamp.aspect for phase, lamp in self.lamps.items()}


def boot(wiring: Wiring, boot_id: BootId, now_ms: int, highest_epoch: int = 0) -> State:
    """A controller that was just switched on: all red, its own plan ahead. now_ms: where the plan's clock stands."""
    return State(wiring, boot_id, now_ms, all_red(wiring, now_ms), Register(highest_epoch))


def step(state: State, event: Event) -> tuple[State, tuple[Effect, ...]]:
    before, answered = state, False
    match event:
        case Tick(dt_ms):
            state = replace(state, now_ms=state.now_ms + dt_ms)
            state, answered = _hear_late(state)
        case Received(command):
            state, answered = _receive(state, command)
        case Called(phase):
            state = _call(state, phase)
        case Injected(mode):
            state = _inject(state, mode)
    state = _settle(state)
    return _effects(before, state, answered)


def _receive(state: State, command: SignalCommand) -> tuple[State, bool]:
    if state.mode in ("dead", "deaf"):
        return state, False
    if state.mode == "slow":
        return replace(state, late=(*state.late, (state.now_ms + SLOW_MS, command))), False
    return _judge(state, command), True


def _hear_late(state: State) -> tuple[State, bool]:
    due = [command for due_ms, command in state.late if due_ms <= state.now_ms]
    state = replace(state, late=tuple(one for one in state.late if one[0] > state.now_ms))
    for command in due:
        state = _judge(state, command)
    return state, bool(due)


def _judge(state: State, command: SignalCommand) -> State:
    state = _lapse(state)
    refusal = acceptance.refusal(
        state.wiring, state.register, command, boot=state.boot, beats=state.beats, now_ms=state.now_ms
    )
    if state.tripped is not None:
        refusal = "fault"
    state = replace(state, last_command=CommandOutcome(command.id, refusal))
    if refusal is not None:
        return state
    register = acceptance.taken(state.register, command, state.now_ms)
    return replace(state, register=register, commanded=frozenset(command.phases), cuts_walk=command.cuts_walk)


def _call(state: State, phase: PhaseId) -> State:
    if phase not in state.lamps or phase in state.calls or state.lamps[phase].aspect in SERVING:
        return state
    return replace(state, calls={**state.calls, phase: state.now_ms})


def _inject(state: State, mode: FaultMode | None) -> State:
    if mode is None and (state.tripped is not None or state.mode == "dead"):
        # Out of the dark or of flash a controller begins with all red, and forgets who steered it.
        register = replace(state.register, holder=None)
        lamps = all_red(state.wiring, state.now_ms)
        state = replace(state, lamps=lamps, register=register, tripped=None, last_command=None)
    return replace(state, mode=mode, late=())


def _settle(state: State) -> State:
    """Let the lease lapse, choose what to head for, move the lamps, and let the monitor look at them."""
    state = _lapse(state)
    if state.mode == "dead" or state.tripped is not None:
        return replace(state, lamps=_dark(state), target=frozenset())
    target = _target(state)
    cuts_walk = state.cuts_walk and state.register.holder is not None
    lamps = dict(advance(state.wiring, state.lamps, target, state.now_ms, cuts_walk=cuts_walk))
    if state.mode == "conflict":
        lamps.update(_short_circuit(state.wiring, lamps, state.now_ms))
    state = replace(state, target=target, lamps=lamps)
    lit = frozenset(phase for phase, lamp in lamps.items() if lamp.aspect != "red")
    clash = state.wiring.conflicting(lit)
    if clash:
        tripped = f"conflict monitor: phases {', '.join(map(str, sorted(clash)))} lit together"
        state = replace(state, tripped=tripped, target=frozenset(), register=replace(state.register, holder=None))
        state = replace(state, lamps=_dark(state))
    calls = {one: since for one, since in state.calls.items() if state.lamps[one].aspect not in SERVING}
    return replace(state, calls=calls)


def _lapse(state: State) -> State:
    holder = state.register.holder
    if holder is None or state.now_ms < holder.until_ms:
        return state
    return replace(state, register=replace(state.register, holder=None))


def _target(state: State) -> frozenset[PhaseId]:
    if state.register.holder is None:
        return frozenset(state.wiring.plan.phases_at(state.now_ms))
    if state.mode == "contrary":
        return next((one for one in state.wiring.stages if one != state.commanded), state.commanded)
    return state.commanded


def _dark(state: State) -> Lamps:
    return {phase: lamp if lamp.aspect == "red" else Lamp("red", state.now_ms) for phase, lamp in state.lamps.items()}


def _short_circuit(wiring: Wiring, lamps: Lamps, now_ms: int) -> Lamps:
    """A green on the first phase that conflicts with one that is lit."""
    for phase, lamp in lamps.items():
        if lamp.aspect != "red" and wiring.heads[phase].conflicts:
            return {min(wiring.heads[phase].conflicts): Lamp("green", now_ms)}
    return {}


def _effects(before: State, state: State, answered: bool) -> tuple[State, tuple[Effect, ...]]:
    effects: list[Effect] = []
    if state.register.highest_epoch != before.register.highest_epoch:
        effects.append(EpochTaken(state.register.highest_epoch))
    changed = (state.aspects, state.control) != (before.aspects, before.control)
    if changed or (state.mode == "dead") != (before.mode == "dead"):
        effects.append(AspectsChanged(state.aspects, state.control, dark=state.mode == "dead"))
    if state.mode == "dead":
        return state, tuple(effects)
    news = changed or answered or state.target != before.target or state.calls.keys() != before.calls.keys()
    if news or due(state.beats, state.now_ms):
        state = _beat(state)
        effects.append(_report(state))
    return state, tuple(effects)


def _beat(state: State) -> State:
    counter = state.counter + 1
    return replace(state, counter=counter, beats=with_beat(state.beats, counter, state.now_ms))


def _report(state: State) -> Report:
    holder = state.register.holder
    lease = Lease(holder.edge, state.register.highest_epoch, holder.until_ms - state.now_ms) if holder else None
    return Report(
        intersection=state.wiring.intersection,
        counter=state.counter,
        control=state.control,
        phases=tuple(PhaseState(one, lamp.aspect, state.now_ms - lamp.since_ms) for one, lamp in state.lamps.items()),
        target=tuple(sorted(state.target)),
        highest_epoch=state.register.highest_epoch,
        lease=lease,
        last_command=state.last_command,
        calls=tuple((phase, state.now_ms - since_ms) for phase, since_ms in state.calls.items()),
        fault=state.tripped,
    )
