"""The safety check: whatever a controller proposes, only this makes the command that is sent.

It stands outside every controller and can't be passed by: the lease takes nothing but a SafeCommand, and only `judge`
makes one. It is pure: (memory, what the controller shows, a proposal) -> (memory, verdict).

What it holds, whoever proposes what:
- phases that conflict are never commanded together;
- a green is not ended before minimum green, a walk not before walk time, or before WALK_CUT_MS where pre-emption wants
  what conflicts with it; vehicles keep their green until the pedestrians beside them have cleared;
- a change that has begun is finished before another begins, so that yellow, pedestrian clearance and all-red run out;
- a green ends once it has been green for its maximum since the first conflicting call;
- no phase stays red for longer than `service_bound_ms`, whether or not somebody called it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass

from msgspec import Struct
from msgspec.structs import replace

from edge_server.signals.layout import Layout, StageLayout
from edge_server.signals.view import View
from protocol.ids import IntersectionId, PhaseId, StageId

STARVATION_BOUND_MS = 120_000
# From the controller's change to the command that answers it: a heartbeat on its way, a tick, a command on its way.
REACTION_MS = 2_000
# For how long a command that the controller's heartbeat does not show yet is taken as on its way: as long as the oldest
# heartbeat that a controller lets a command quote, and so the longest way there and back.
IN_FLIGHT_MS = 1_500

# Pre-emption may end a walk after so long, never before: the shortest walk interval that the MUTCD knows (2009, 4E.06:
# 4 s where 7 s are not needed). It would let pre-emption leave walk out and shorten clearance (4D.27); we do neither.
WALK_CUT_MS = 4_000

_SEAL = object()


@dataclass(frozen=True)
class SafeCommand:
    """Phases that may be served next, and why. cuts_walk: a walk that is not among them ends before its time. Only the
    safety check makes one."""

    intersection: IntersectionId
    phases: tuple[PhaseId, ...]
    controller: str
    reason: str
    seal: InitVar[object]
    cuts_walk: bool = False

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("a SafeCommand comes from edge_server.signals.safety.judge alone")


@dataclass(frozen=True)
class Proposal:
    """What a controller wants. stage may be anything at all: what is no stage of the intersection is not served.
    cuts_walk: it is a pre-emption, and may end a walk that conflicts with it early."""

    controller: str
    stage: object
    reason: str = ""
    cuts_walk: bool = False


class Memory(Struct, frozen=True):
    """All on the edge's monotonic clock. red_ms: since when a phase has been without green. called_ms: since when
    somebody has waited for it. heading, headed_ms: the phases last commanded, and when that command was new."""

    red_ms: Mapping[PhaseId, int] = {}
    called_ms: Mapping[PhaseId, int] = {}
    heading: frozenset[PhaseId] | None = None
    headed_ms: int = 0


@dataclass(frozen=True)
class Verdict:
    """command is None when nothing may be sent: the reason then says what is wrong with the controller. overruled: the
    proposal was not followed, for that reason."""

    command: SafeCommand | None
    overruled: bool
    reason: str


def service_bound_ms(layout: Layout) -> int:
    """No phase is without green for longer, while the edge commands and the controller obeys: 120 s, or the time that
    one round through the stages takes at their least, where the site makes that longer."""
    changes, round_ms = layout.round
    return max(STARVATION_BOUND_MS, round_ms + REACTION_MS * changes)


def judge(
    layout: Layout, memory: Memory, view: View, proposal: Proposal, *, wanted: frozenset[PhaseId], now_ms: int
) -> tuple[Memory, Verdict]:
    """What may be commanded now. wanted: phases that vehicles are seen to wait for (a call, as the heartbeat's are)."""
    wrong = _unsteerable(layout, view)
    if wrong is not None:
        return Memory(), Verdict(None, overruled=True, reason=wrong)
    memory = _remember(layout, memory, view, wanted, now_ms)
    check = _Check(layout, memory, view, now_ms, _cuttable(layout, proposal))
    phases, overruling = check.choose(proposal)
    reason = overruling or proposal.reason
    command = SafeCommand(
        layout.intersection, tuple(sorted(phases)), str(proposal.controller)[:80], str(reason)[:500], _SEAL,
        check.cuts(phases),
    )  # fmt: skip
    return memory, Verdict(command, overruled=overruling is not None, reason=command.reason)


def sent(memory: Memory, command: SafeCommand, now_ms: int) -> Memory:
    """Remember that a command is on its way: until the controller shows it, nothing else is begun."""
    heading = frozenset(command.phases)
    return memory if heading == memory.heading else replace(memory, heading=heading, headed_ms=now_ms)


def _unsteerable(layout: Layout, view: View) -> str | None:
    if view.heartbeat.control == "flash":
        return "the controller is in flash"
    if view.shown.keys() != layout.phases.keys():
        return "the controller has other phases than the site"
    if not layout.compatible(frozenset(one for one, state in view.shown.items() if state.aspect != "red")):
        return "the controller shows phases together that conflict"
    return None


def _remember(layout: Layout, memory: Memory, view: View, wanted: frozenset[PhaseId], now_ms: int) -> Memory:
    red: dict[PhaseId, int] = {}
    called: dict[PhaseId, int] = {}
    for phase, times in layout.phases.items():
        if phase in view.serving:
            continue
        red[phase] = now_ms - view.shown_ms(phase, now_ms)
        if view.shown[phase].aspect == "red":
            # Red follows yellow or clearance, which count too; what was known before that belongs to an earlier red.
            known_ms = memory.red_ms.get(phase, red[phase])
            if known_ms >= red[phase] - times.change_ms - REACTION_MS:
                red[phase] = min(known_ms, red[phase])
        calls = [now_ms] if phase in wanted else []
        if memory.called_ms.get(phase, red[phase] - 1) >= red[phase]:
            calls.append(memory.called_ms[phase])
        if phase in view.called_ms:
            calls.append(view.called_ms[phase])
        if calls:
            called[phase] = min(calls)
    return Memory(red, called, memory.heading, memory.headed_ms)


def _cuttable(layout: Layout, proposal: Proposal) -> frozenset[PhaseId]:
    """Walks that a pre-emption may end early: those that keep its own stage from coming."""
    stage = layout.stages.get(StageId(proposal.stage)) if isinstance(proposal.stage, str) else None
    if stage is None or not proposal.cuts_walk:
        return frozenset()
    return frozenset(one for one in layout.pedestrians if not layout.conflicts[one].isdisjoint(stage.phases))


class _Check:
    """One judgement; its parts share what it looks at."""

    def __init__(self, layout: Layout, memory: Memory, view: View, now_ms: int, cuttable: frozenset[PhaseId]) -> None:
        """cuttable: walks that may end early."""
        self._layout = layout
        self._memory = memory
        self._view = view
        self._now_ms = now_ms
        in_flight = memory.heading is not None and now_ms - memory.headed_ms < IN_FLIGHT_MS
        target = memory.heading if in_flight and memory.heading is not None else view.target
        self._target = target if layout.compatible(target) else frozenset()
        self._expired = frozenset(phase for phase in view.serving if self._is_expired(phase))
        self._cuttable = cuttable
        self._kept = frozenset(phase for phase in view.serving if self._kept_ms(phase) > 0)

    def choose(self, proposal: Proposal) -> tuple[frozenset[PhaseId], str | None]:
        """The phases to command, and why the proposal was overruled (None when it was not)."""
        name = proposal.stage if isinstance(proposal.stage, str) else type(proposal.stage).__name__
        stage = self._layout.stages.get(StageId(name))
        if not self._target <= self._view.serving:
            agrees = stage is not None and stage.phases == self._target
            return self._target - self._expired, None if agrees else "finishing the change that has begun"
        if not self._affords(None):
            return self._serve_longest_red()
        if self._expired:
            return self._end_expired()
        if stage is None:
            return self._hold(f"{name[:80]!r} is no stage here: holding")
        if self._view.serving and (stage.phases - stage.pedestrians) <= self._view.serving <= stage.phases:
            return self._stay(stage), None
        return self._enter(stage)

    def _enter(self, stage: StageLayout) -> tuple[frozenset[PhaseId], str | None]:
        if not self._affords(stage):
            return self._serve_longest_red()
        return self._change(stage, None)

    def _serve_longest_red(self) -> tuple[frozenset[PhaseId], str | None]:
        longest = self._longest_red(frozenset(self._memory.red_ms))
        assert longest is not None, "only a red phase can be short of time"
        red_s = (self._now_ms - self._memory.red_ms[longest]) // 1000
        return self._change(self._layout.home[longest], f"phase {longest} red for {red_s} s: it has to be served now")

    def _change(self, stage: StageLayout, reason: str | None) -> tuple[frozenset[PhaseId], str | None]:
        """To a stage, once minimum times and clearing pedestrians let all of it come; until then nothing ends but what
        has reached its maximum green."""
        wanted = stage.phases - self._expired
        clearing = self._vehicles_beside_pedestrians(wanted)
        staying = (self._kept | clearing) - self._expired - wanted
        blocking = sorted(phase for phase in staying if not self._layout.conflicts[phase].isdisjoint(wanted))
        if not blocking:
            return wanted | staying, reason
        why = f"phase {blocking[0]} has to stay until its minimum time is over"
        if clearing.issuperset(blocking):
            why = f"phase {blocking[0]} stays green while pedestrians beside it clear"
        return self._without_rested_walk(self._view.serving - self._expired), reason or why

    def _vehicles_beside_pedestrians(self, wanted: frozenset[PhaseId]) -> frozenset[PhaseId]:
        """Vehicle phases to leave green while pedestrians who would delay the change anyway walk off."""
        layout, view = self._layout, self._view
        holding_up = False
        for phase in layout.pedestrians - wanted:
            if view.shown[phase].aspect == "red" or layout.conflicts[phase].isdisjoint(wanted):
                continue
            left_ms = layout.phases[phase].clearance_ms
            if view.shown[phase].aspect == "pedestrian-clearance":
                left_ms -= view.shown_ms(phase, self._now_ms)
            leaving = [one for one in view.serving - wanted if one not in layout.pedestrians]
            yellow_ms = max((layout.phases[one].yellow_ms for one in leaving), default=0)
            holding_up = holding_up or left_ms > yellow_ms
        if not holding_up:
            return frozenset()
        return frozenset(one for one in view.serving if one not in layout.pedestrians)

    def _end_expired(self) -> tuple[frozenset[PhaseId], str | None]:
        """End what has reached its maximum green, and serve the longest-starved phase that called against it."""
        conflicts, called = self._layout.conflicts, self._memory.called_ms.keys()
        waiting = self._longest_red(frozenset[PhaseId]().union(*(conflicts[one] & called for one in self._expired)))
        assert waiting is not None, "a phase expires by a conflicting call"
        home = self._layout.home[waiting]
        if not self._affords(home):
            return self._serve_longest_red()
        ended = ", ".join(str(phase) for phase in sorted(self._expired))
        return self._change(home, f"maximum green of phase {ended}: phase {waiting} has waited longest")

    def _affords(self, stage: StageLayout | None) -> bool:
        """True when every phase can still be served within its bound after `stage`, or after waiting once more (None).

        Phases are served in the order in which they went red, so the earliest deadline comes first: if this order
        misses a deadline, every order does. Those that went red together come by their number, as _longest_red has it:
        in another order the sum would be another."""
        elapsed_ms = self._leaving_ms() + REACTION_MS
        served: set[StageId] = set()
        if stage is not None:
            elapsed_ms += self._first_ms(stage) + REACTION_MS
        bound_ms = service_bound_ms(self._layout)
        for phase in sorted(self._memory.red_ms, key=lambda one: (self._memory.red_ms[one], one)):
            home = self._layout.home[phase]
            if home.id in served or (stage is not None and phase in stage.phases):
                continue
            if self._now_ms - self._memory.red_ms[phase] + elapsed_ms > bound_ms:
                return False
            first = stage is None and not served
            served.add(home.id)
            elapsed_ms += (self._first_ms(home) if first else home.service_ms) + REACTION_MS
        return True

    def _first_ms(self, stage: StageLayout) -> int:
        """Of the stage that comes next, its service, and the change of what stays beside it: a walk that is not over
        yet clears only after it."""
        staying = [
            self._layout.phases[one].change_ms
            for one in self._kept - stage.phases
            if self._layout.conflicts[one].isdisjoint(stage.phases)
        ]
        return max([stage.service_ms, *staying])

    def _leaving_ms(self) -> int:
        """Until everything that is not red now could be red and cleared."""
        lit = (one for one, state in self._view.shown.items() if state.aspect != "red")
        return max((max(0, self._left_ms(one)) + self._layout.phases[one].change_ms for one in lit), default=0)

    def _hold(self, reason: str) -> tuple[frozenset[PhaseId], str | None]:
        """Stay with what is green; with nothing green, serve what has been red for longest."""
        if self._view.serving:
            return self._without_rested_walk(self._view.serving), reason
        longest = self._longest_red(frozenset(self._layout.phases))
        assert longest is not None, "an intersection has phases"
        return self._layout.home[longest].phases, reason

    def _stay(self, stage: StageLayout) -> frozenset[PhaseId]:
        """The stage that is green already: a called pedestrian phase of it may start while there is time for it."""
        walking = self._without_rested_walk(self._view.serving)
        starting = frozenset(
            phase
            for phase in stage.pedestrians & self._memory.called_ms.keys()
            if phase not in self._view.serving and self._has_room(phase)
        )
        return walking | starting

    def _without_rested_walk(self, phases: frozenset[PhaseId]) -> frozenset[PhaseId]:
        """Beside a vehicle green, walk ends after its time, so that clearance is not still to come at the change."""
        if phases <= self._layout.pedestrians:
            return phases
        return frozenset(one for one in phases if one not in self._layout.pedestrians or one in self._kept)

    def _has_room(self, phase: PhaseId) -> bool:
        """True when walk and clearance end before any green that conflicts with a call has to."""
        times = self._layout.phases[phase]
        needed_ms = times.least_ms + times.clearance_ms
        if not self._affords(self._layout.home[phase]):
            return False
        return all(self._expires_in_ms(one, default=needed_ms) >= needed_ms for one in self._view.serving)

    def _is_expired(self, phase: PhaseId) -> bool:
        return self._expires_in_ms(phase, default=1) <= 0 and self._left_ms(phase) <= 0

    def _expires_in_ms(self, phase: PhaseId, default: int) -> int:
        """Until maximum green, counted from the first conflicting call or the start of green; default without one."""
        called_ms = self._memory.called_ms
        calls = [called_ms[one] for one in self._layout.conflicts[phase] if one in called_ms]
        if not calls:
            return default
        green_ms = self._now_ms - self._view.shown_ms(phase, self._now_ms)
        return max(min(calls), green_ms) + self._layout.phases[phase].most_ms - self._now_ms

    def _left_ms(self, phase: PhaseId) -> int:
        """Of minimum green, or walk."""
        return self._layout.phases[phase].least_ms - self._view.shown_ms(phase, self._now_ms)

    def _kept_ms(self, phase: PhaseId) -> int:
        """Of minimum green, or walk, or as much of it as has to be kept."""
        left_ms = self._left_ms(phase)
        if phase not in self._cuttable:
            return left_ms
        return min(left_ms, WALK_CUT_MS - self._view.shown_ms(phase, self._now_ms))

    def cuts(self, phases: frozenset[PhaseId]) -> bool:
        """Whether a command of these phases ends a walk before its time."""
        return any(one not in phases and self._left_ms(one) > 0 for one in self._cuttable & self._view.serving)

    def _longest_red(self, phases: frozenset[PhaseId]) -> PhaseId | None:
        return min(phases, key=lambda phase: (self._memory.red_ms.get(phase, self._now_ms), phase), default=None)
