"""Max-pressure as in the paper: at each slot the stage of the greatest pressure, whatever a change costs.

Varaiya, "Max pressure control of a network of signalized intersections", Transportation Research C 36 (2013), equations
(8) to (10): vehicles before the stop line less those on the roads that they lead to. A slot is the least time that a
stage stays, so that yellow is not most of the time.
"""

from __future__ import annotations

from edge_server.signals.controller import Decision
from edge_server.signals.controllers import max_pressure
from edge_server.signals.layout import Layout
from edge_server.signals.service_model import current_stage
from edge_server.signals.sight import Sights
from edge_server.signals.view import View

SLOT_MS = 10_000


def decide(layout: Layout, sights: Sights, view: View, now_ms: int) -> Decision:
    current = current_stage(layout, view)
    if current is not None:
        shown_ms = min((view.shown_ms(phase, now_ms) for phase in view.serving), default=SLOT_MS)
        if shown_ms < SLOT_MS:
            return Decision(current.id, f"{shown_ms // 1000} s into its slot")
    weights = max_pressure.phase_weights(layout, sights, view, now_ms)
    pressures = {stage: sum(weights.get(one, 0.0) for one in each.phases) for stage, each in layout.stages.items()}
    best = max(pressures, key=lambda stage: (pressures[stage], current is not None and stage == current.id))
    return Decision(best, f"pressure {pressures[best]:.1f}")
