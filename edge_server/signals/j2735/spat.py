"""SPAT: what the signals show, and until when at the earliest.

A green is told as permissive: the site file says which phases may be green together, and not where a turn among them
has to yield. Red lasts at the least until now, since a controller that follows a person or its own plan may end it at
once."""

from __future__ import annotations

from edge_server.signals.j2735.codec import Value
from edge_server.signals.j2735.moment import UNKNOWN_TIME, d_second, minute_of_year, time_mark
from edge_server.signals.j2735.numbers import Numbers
from edge_server.signals.layout import Layout
from edge_server.signals.preemption.state import State
from edge_server.signals.view import View
from protocol.ids import PhaseId
from protocol.messages.heartbeat import Aspect

# MovementPhaseState.
_STATES: dict[Aspect, str] = {
    "red": "stop-And-Remain",
    "green": "permissive-Movement-Allowed",
    "walk": "permissive-Movement-Allowed",
    "yellow": "permissive-clearance",
    "pedestrian-clearance": "permissive-clearance",
}


def spat_message(
    layout: Layout,
    view: View | None,
    state: State | None,
    numbers: Numbers,
    *,
    now_ms: int,
    wall_ms: int,
    revision: int,
) -> Value:
    """now_ms: the edge's monotonic clock. view: None while the controller is not heard: every phase is
    `unavailable`."""
    intersection: Value = {
        "name": str(layout.intersection),
        "id": {"id": numbers.intersections[layout.intersection]},
        "revision": revision % 128,
        "status": _status(view, state),
        "moy": minute_of_year(wall_ms),
        "timeStamp": d_second(wall_ms),
        "states": [
            {"signalGroup": int(phase), "state-time-speed": [_event(layout, view, phase, now_ms, wall_ms)]}
            for phase in layout.phases
        ],
    }
    return {"timeStamp": minute_of_year(wall_ms), "intersections": [intersection]}


def _status(view: View | None, state: State | None) -> list[str]:
    """IntersectionStatusObject: the bits that are set."""
    found = []
    if view is None:
        found.append("noValidSPATisAvailableAtThisTime")
    elif view.heartbeat.control == "flash":
        found.append("failureFlash")
    elif view.heartbeat.control == "local":
        found.append("fixedTimeOperation")
    else:
        found.append("trafficDependentOperation")
    holder = state.holder if state is not None else None
    if (state is not None and state.outranked) or (holder is not None and holder.level == "preempt"):
        found.append("preemptIsActive")
    if holder is not None and holder.level == "priority":
        found.append("signalPriorityIsActive")
    return found


def _event(layout: Layout, view: View | None, phase: PhaseId, now_ms: int, wall_ms: int) -> Value:
    if view is None or phase not in view.shown:
        return {"eventState": "unavailable"}
    if view.heartbeat.control == "flash":
        return {"eventState": "stop-Then-Proceed"}
    aspect = view.shown[phase].aspect
    times = layout.phases[phase]
    shown_ms = view.shown_ms(phase, now_ms)
    timing: dict[str, int] = {}
    if aspect in ("yellow", "pedestrian-clearance"):
        left_ms = max(0, (times.yellow_ms if aspect == "yellow" else times.clearance_ms) - shown_ms)
        timing = dict.fromkeys(("minEndTime", "maxEndTime"), time_mark(wall_ms + left_ms, wall_ms))
    elif aspect in ("green", "walk"):
        timing = {
            "minEndTime": time_mark(wall_ms + max(0, times.least_ms - shown_ms), wall_ms),
            "maxEndTime": UNKNOWN_TIME,
        }
    else:
        timing = {"minEndTime": time_mark(wall_ms, wall_ms), "maxEndTime": UNKNOWN_TIME}
    return {"eventState": _STATES[aspect], "timing": timing}
