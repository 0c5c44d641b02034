"""The event log of signals as ATSPM tools read it: SignalID, Timestamp, EventCode, EventParam.

Codes and parameters are those of the Indiana Traffic Signal Hi-Resolution Data Logger Enumerations (Purdue University,
2012). Phases have the site file's own numbers, pre-empts and priority requests the number of their approach. What a
heartbeat can't tell, such as the end of all-red or why a green ended, is not written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge_server.signals.j2735.numbers import Numbers
from edge_server.signals.preemption.events import Effect, Ended, Granted
from edge_server.signals.view import View
from protocol.ids import IntersectionId, PhaseId
from protocol.messages.heartbeat import Aspect

PHASE_ON = 0
BEGIN_GREEN = 1
GREEN_TERMINATION = 7
BEGIN_YELLOW = 8
END_YELLOW = 9
BEGIN_RED_CLEARANCE = 10
BEGIN_WALK = 21
BEGIN_PEDESTRIAN_CLEARANCE = 22
BEGIN_SOLID_DONT_WALK = 23
PHASE_CALL_REGISTERED = 43
PHASE_CALL_DROPPED = 44
PEDESTRIAN_CALL_REGISTERED = 45
PREEMPT_INPUT_ON = 102
PREEMPT_INPUT_OFF = 104
PREEMPT_ENTRY_STARTED = 105
PREEMPT_MAX_PRESENCE = 110
PREEMPT_BEGIN_EXIT = 111
PRIORITY_CHECK_IN = 112
PRIORITY_CHECK_OUT = 115

_BEGINS: dict[Aspect, tuple[int, ...]] = {
    "green": (PHASE_ON, BEGIN_GREEN),
    "yellow": (GREEN_TERMINATION, BEGIN_YELLOW),
    "walk": (BEGIN_WALK,),
    "pedestrian-clearance": (BEGIN_PEDESTRIAN_CLEARANCE,),
}
_REDS: dict[Aspect, tuple[int, ...]] = {
    "yellow": (END_YELLOW, BEGIN_RED_CLEARANCE),
    "pedestrian-clearance": (BEGIN_SOLID_DONT_WALK,),
}


@dataclass(frozen=True, order=True)
class HiresEvent:
    """at_ms: the edge's wall clock, less how long the lamp had shown it when that was heard."""

    at_ms: int
    code: int
    param: int


def of_views(before: View, after: View, pedestrians: frozenset[PhaseId], wall_ms: int) -> list[HiresEvent]:
    """What changed from one heartbeat to the next; nothing when they are of two boots. wall_ms: when the later came."""
    if before.heartbeat.boot != after.heartbeat.boot:
        return []
    found = []
    for phase, state in after.shown.items():
        was = before.shown.get(phase)
        if was is None or was.aspect == state.aspect:
            continue
        codes = _REDS.get(was.aspect, ()) if state.aspect == "red" else _BEGINS[state.aspect]
        found += [HiresEvent(wall_ms - state.elapsed_ms, code, int(phase)) for code in codes]
    for phase in after.called_ms.keys() - before.called_ms.keys():
        code = PEDESTRIAN_CALL_REGISTERED if phase in pedestrians else PHASE_CALL_REGISTERED
        found.append(HiresEvent(wall_ms, code, int(phase)))
    # A pedestrian's call has no code for its end: walk is its end.
    ended = before.called_ms.keys() - after.called_ms.keys() - pedestrians
    found += [HiresEvent(wall_ms, PHASE_CALL_DROPPED, int(phase)) for phase in ended]
    return sorted(found)


def of_effects(place: IntersectionId, effects: Iterable[Effect], numbers: Numbers, wall_ms: int) -> list[HiresEvent]:
    """What the pre-emption of an intersection did."""
    found = []
    for effect in effects:
        codes: tuple[int, ...] = ()
        if isinstance(effect, Granted):
            codes = (PREEMPT_INPUT_ON, PREEMPT_ENTRY_STARTED) if effect.level == "preempt" else (PRIORITY_CHECK_IN,)
        elif isinstance(effect, Ended) and effect.held:
            reached = (PREEMPT_MAX_PRESENCE,) if effect.ending == "cap" else ()
            ends = (*reached, PREEMPT_INPUT_OFF, PREEMPT_BEGIN_EXIT)
            codes = ends if effect.level == "preempt" else (PRIORITY_CHECK_OUT,)
        if codes and isinstance(effect, Granted | Ended):
            found += [HiresEvent(wall_ms, code, numbers.inbound(place, effect.approach)) for code in codes]
    return found
