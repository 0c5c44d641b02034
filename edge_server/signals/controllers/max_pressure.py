"""Max-pressure: serve the stage with the most vehicles before its stop lines, less those that its exits lead to.

Varaiya, "Max pressure control of a network of signalized intersections", Transportation Research C 36 (2013): the
weight of a movement from lane l to road m is w(l, m) = x(l, m) - sum over p of r(m, p) x(m, p), and the stage with the
greatest sum of c(l, m) w(l, m) is served. Here every lane has the same saturation flow c, the vehicles of a lane spread
evenly over its exits (turning shares are unknown), and an exit that leaves the site weighs nothing. Not textbook: a
waiting pedestrian call weighs as one vehicle, and a change must gain more than it loses.
"""

from __future__ import annotations

from edge_server.signals.controller import Decision
from edge_server.signals.controllers import fixed_time
from edge_server.signals.layout import ApproachLayout, Layout, StageLayout
from edge_server.signals.sight import Sight, Sights
from edge_server.signals.view import View
from protocol.ids import ApproachId, PhaseId

# Of each green that begins, its first two seconds carry nobody (start-up lost time, HCM).
STARTUP_LOST_S = 2.0
SATURATION_PER_S = 0.5
# How many times its loss a change has to gain: it has to be changed back, too. In the simulated city, normal demand,
# seed 1, vehicles waited 59, 49 and 41 s each with 1, 2 and 3 (78 s under the fixed plan).
GAIN_PER_LOSS = 3.0
PEDESTRIAN_CALL_VEHICLES = 1.0
UNSEEN_BOUND_MS = 30_000


def decide(layout: Layout, sights: Sights, view: View, now_ms: int) -> Decision:
    """The stage of greatest pressure; the fixed plan's once a camera's approach has been unseen for 30 s."""
    for approach in layout.approaches:
        if approach.watched and _unseen_ms(sights.get(approach.id), now_ms) > UNSEEN_BOUND_MS:
            planned = fixed_time.decide(layout, sights, view, now_ms)
            return Decision(planned.stage, f"{approach.id} unseen for {UNSEEN_BOUND_MS // 1000} s: {planned.reason}")
    weights = phase_weights(layout, sights, view, now_ms)
    pressures = {stage: sum(weights.get(phase, 0.0) for phase in one.phases) for stage, one in layout.stages.items()}
    best = max(layout.stages.values(), key=lambda stage: (pressures[stage.id], -len(stage.pedestrians)))
    current = _current(layout, view)
    if current is None or current is best:
        return Decision(best.id, f"pressure {pressures[best.id]:.1f}")
    gain = pressures[best.id] - pressures[current.id]
    loss = switching_loss(layout, sights, view.serving - best.phases, now_ms)
    if gain <= loss:
        return Decision(
            current.id, f"pressure {pressures[current.id]:.1f}; {best.id} gains {gain:.1f} of {loss:.1f} needed"
        )
    return Decision(best.id, f"pressure {pressures[best.id]:.1f} over {pressures[current.id]:.1f} of {current.id}")


def phase_weights(layout: Layout, sights: Sights, view: View, now_ms: int) -> dict[PhaseId, float]:
    """Pressure of each phase. A lane that several phases serve (a turn arrow) gives each an equal share."""
    weights: dict[PhaseId, float] = {}
    downstream: dict[ApproachId, float] = {}
    for approach in layout.approaches:
        sight = sights.get(approach.id, _NEVER)
        for position, lane in enumerate(approach.lanes):
            weight = sight.mean(position, lane, now_ms)
            for exit_id in lane.to:
                if exit_id not in downstream:
                    downstream[exit_id] = _mean_of_lanes(layout.downstream[exit_id], sights, now_ms)
                weight -= downstream[exit_id] / lane.exits
            for phase in lane.phases:
                weights[phase] = weights.get(phase, 0.0) + weight / len(lane.phases)
    for phase in layout.pedestrians & view.called_ms.keys():
        weights[phase] = PEDESTRIAN_CALL_VEHICLES
    return weights


def switching_loss(layout: Layout, sights: Sights, ending: frozenset[PhaseId], now_ms: int) -> float:
    """What a change must gain: some times the vehicles on the ending lanes that could have passed meanwhile.

    A stage that only adds a walk to what is green ends nothing, so it loses nothing."""
    change_ms = max((layout.phases[phase].change_ms for phase in ending), default=0)
    passing = SATURATION_PER_S * (change_ms / 1000 + STARTUP_LOST_S)
    return GAIN_PER_LOSS * sum(
        min(passing, sights.get(approach.id, _NEVER).mean(position, lane, now_ms))
        for approach in layout.approaches
        for position, lane in enumerate(approach.lanes)
        if not lane.phases.isdisjoint(ending)
    )


_NEVER = Sight(seen_ms=0)


def _mean_of_lanes(approach: ApproachLayout, sights: Sights, now_ms: int) -> float:
    sight = sights.get(approach.id, _NEVER)
    return sum(sight.mean(at, lane, now_ms) for at, lane in enumerate(approach.lanes)) / len(approach.lanes)


def _unseen_ms(sight: Sight | None, now_ms: int) -> int:
    return now_ms - sight.seen_ms if sight is not None else 0


def _current(layout: Layout, view: View) -> StageLayout | None:
    """The stage that is being served: the one that holds most of what the controller shows or heads for."""
    heading = view.target or view.serving
    stages = [stage for stage in layout.stages.values() if stage.phases & heading]
    return max(stages, key=lambda stage: (len(stage.phases & heading), -len(stage.phases)), default=None)
