"""Kinflow's choice within the order of a NEMA controller: rings only go forward, both cross a barrier together.

Where an intersection's phases make no dual ring, its stages follow one another in the order of its plan instead, and
one that nobody waits for is passed over.
"""

from __future__ import annotations

from edge_server.signals.calling import wanted_phases
from edge_server.signals.controller import Decision
from edge_server.signals.controllers import kinflow
from edge_server.signals.layout import Layout
from edge_server.signals.service_model import current_stage
from edge_server.signals.sight import Sights
from edge_server.signals.view import View
from protocol.ids import PhaseId, StageId


def decide(layout: Layout, sights: Sights, view: View, now_ms: int) -> Decision:
    rings = layout.rings
    current = current_stage(layout, view)
    waiting = wanted_phases(layout, sights, now_ms) | view.called_ms.keys()
    if current is None:
        return kinflow.decide(layout, sights, view, now_ms)
    if rings is None:
        allowed = _next_in_plan(layout, current.id, waiting)
    elif current.id in rings.places:
        allowed = rings.may_follow(current.id, waiting - view.serving)
    else:
        allowed = list(rings.places)
    return kinflow.best(layout, [layout.stages[one] for one in allowed], sights, view, now_ms)


def _next_in_plan(layout: Layout, current: StageId, waiting: frozenset[PhaseId]) -> list[StageId]:
    """The current stage and the first after it that somebody waits for."""
    order = list(dict.fromkeys(slot.stage for slot in layout.plan.slots))
    if current not in order:
        return [*order, current]
    at = order.index(current)
    later = [*order[at + 1 :], *order[:at]]
    ahead = next((one for one in later if layout.stages[one].phases & waiting - layout.stages[current].phases), None)
    return [current] if ahead is None else [current, ahead]
