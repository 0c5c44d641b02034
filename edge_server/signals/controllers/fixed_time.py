"""The site's fixed plan, timed by the edge's clock, so that the offsets between intersections hold."""

from __future__ import annotations

from edge_server.signals.controller import Decision
from edge_server.signals.layout import Layout
from edge_server.signals.sight import Sights
from edge_server.signals.view import View


def decide(layout: Layout, sights: Sights, view: View, now_ms: int) -> Decision:  # noqa: ARG001 (the port's shape)
    stage = layout.plan.stage_at(now_ms)
    return Decision(stage, f"fixed plan, {layout.plan.position_ms(now_ms) // 1000} s into the cycle")
