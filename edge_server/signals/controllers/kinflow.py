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

from collections.abc import Iterable

from edge_server.signals.controller import Decision
from edge_server.signals.layout import Layout, StageLayout
from edge_server.signals.service_model import ServiceModel, ranked
from edge_server.signals.sight import Sights
from edge_server.signals.view import View


def decide(layout: Layout, sights: Sights, view: View, now_ms: int) -> Decision:
    return best(layout, layout.stages.values(), sights, view, now_ms)


def best(layout: Layout, stages: Iterable[StageLayout], sights: Sights, view: View, now_ms: int) -> Decision:
    """The best of these stages."""
    model = ServiceModel(layout, sights, view, now_ms)
    stage, rate, green_s = ranked(model, stages)
    assert stage is not None, "an intersection has stages"
    if rate <= 0.0 and model.current is not None:
        return Decision(model.current.id, "nobody is seen")
    return Decision(stage.id, f"{rate * 60:.0f} vehicles a minute over {green_s:.0f} s")
