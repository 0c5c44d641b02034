"""Kinflow's own: serve what brings the most vehicles over the stop lines in a second, change included.

For each stage and a few lengths of green: vehicles that would pass, over the time that they need: the change to the
stage, the green, and the change back while somebody is left behind. The stage of the greatest rate is served. This is
the priority index of Laemmer and Helbing, "Self-control of traffic lights and vehicle flows in urban road networks",
J. Stat. Mech. (2008) P04019, section 3.2, with the lanes of a stage together, and:

- congestion: who stands in the queue is there now, who still moves arrives over the next seconds;
- downstream space: a lane passes no more than fit behind its exits' queues;
- waiting: a vehicle weighs more the longer its phase has been red;
- lanes that nobody sees are taken to fill evenly while they are red.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_server.signals.controller import Decision
from edge_server.signals.layout import Layout, StageLayout
from edge_server.signals.service_model import ServiceModel, current_stage, ranked
from edge_server.signals.sight import Sights
from edge_server.signals.view import View


def decide(layout: Layout, sights: Sights, view: View, now_ms: int) -> Decision:
    return best(layout, tuple(layout.stages.values()), sights, view, now_ms)


def best(layout: Layout, stages: Sequence[StageLayout], sights: Sights, view: View, now_ms: int) -> Decision:
    """The best of these stages, among those that could begin now."""
    current = current_stage(layout, view)
    if current is not None and not view.target <= view.serving:
        return Decision(current.id, "a change is under way")
    model = ServiceModel(layout, sights, view, now_ms, current)
    stage, rate, green_s = ranked(model, _open(layout, stages, view, now_ms) or stages)
    assert stage is not None, "an intersection has stages"
    if rate <= 0.0 and current is not None:
        return Decision(current.id, "nobody is seen")
    return Decision(stage.id, f"{rate * 60:.0f} vehicles a minute over {green_s:.0f} s")


def _open(layout: Layout, stages: Sequence[StageLayout], view: View, now_ms: int) -> list[StageLayout]:
    """Stages that end no green before its minimum, and open no crossing that nobody called for."""
    bound = {
        phase
        for phase in view.serving - layout.pedestrians
        if view.shown_ms(phase, now_ms) < layout.phases[phase].least_ms
    }
    found = [stage for stage in stages if bound <= stage.phases] if bound else list(stages)
    called = view.called_ms.keys() | view.serving
    return [one for one in found if not one.pedestrians or one.pedestrians & called] or found
