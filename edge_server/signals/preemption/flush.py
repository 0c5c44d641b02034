"""How long before a vehicle comes its phases have to be called, so that nobody stands before it when it is there.

The change: what conflicts and is lit has to be green for its minimum, and end. The flush: each lane that the vehicle
may take empties at the saturation flow, after a start-up loss; two seconds and one vehicle in two seconds, as in
service_model.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_server.signals.layout import Layout, PhaseTimes
from edge_server.signals.safety import WALK_CUT_MS
from edge_server.signals.service_model import SATURATION_PER_S, STARTUP_LOST_S
from edge_server.signals.sight import Sight, Sights
from edge_server.signals.view import View
from protocol.ids import ApproachId, PhaseId

_NEVER = Sight(seen_ms=0)


@dataclass(frozen=True)
class Need:
    """now_ms: from a call now to a free way. most_ms: from a call that comes just when something else has begun."""

    now_ms: int
    most_ms: int


def need(layout: Layout, view: View, sights: Sights, approach: ApproachId, phases: frozenset[PhaseId]) -> Need:
    """The view's own time is the present; phases: that serve the vehicle."""
    flushed_ms = flush_ms(layout, view, sights, approach, phases)
    return Need(change_ms(layout, view, phases) + flushed_ms, worst_ms(layout, phases) + flushed_ms)


def worst_ms(layout: Layout, phases: frozenset[PhaseId]) -> int:
    """Until all of these phases can be green, when a change against them has just begun: that is finished first, and
    what it makes green keeps its minimum."""
    against = frozenset[PhaseId]().union(*(layout.conflicts[one] for one in phases))
    times = [layout.phases[one] for one in against]
    begun_ms = max((one.change_ms - one.clearance_ms for one in times), default=0)
    return begun_ms + max((_least_ms(one) + one.change_ms for one in times), default=0)


def change_ms(layout: Layout, view: View, phases: frozenset[PhaseId]) -> int:
    """Until all of these phases can be green."""
    against = frozenset[PhaseId]().union(*(layout.conflicts[one] for one in phases if one not in view.serving))
    longest_ms = 0
    for phase in against:
        state, times = view.shown[phase], layout.phases[phase]
        match state.aspect:
            case "green" | "walk":
                left_ms = max(0, _least_ms(times) - state.elapsed_ms) + times.change_ms
            case "yellow" | "pedestrian-clearance":
                left_ms = max(0, times.change_ms - state.elapsed_ms)
            case _:
                left_ms = max(0, times.change_ms - times.yellow_ms - times.clearance_ms - state.elapsed_ms)
        longest_ms = max(longest_ms, left_ms)
    return longest_ms


def _least_ms(times: PhaseTimes) -> int:
    """Of a green; of a walk what is left of it when pre-emption cuts it."""
    return min(times.least_ms, WALK_CUT_MS) if times.pedestrian else times.least_ms


def flush_ms(layout: Layout, view: View, sights: Sights, approach: ApproachId, phases: frozenset[PhaseId]) -> int:
    """Until those who stand before the stop line, in the fullest of the lanes that these phases serve, have gone."""
    road = layout.downstream[approach]
    sight = sights.get(approach, _NEVER)
    most = 0.0
    for at, lane in enumerate(road.lanes):
        if lane.phases & phases:
            told = sight.lanes[at].standing if sight.lanes else None
            most = max(most, sight.mean(at, lane, view.heard_ms) if told is None else told)
    if most < 1.0:
        return 0
    return round(1000 * (STARTUP_LOST_S + most / SATURATION_PER_S))
