"""Fixed-time splits from measured flows.

Webster, "Traffic signal settings", Road Research Technical Paper 39 (1958): with Y the sum over stages of the greatest
flow over saturation flow, and L the time lost in a cycle, the cycle C = (1.5 L + 5) / (1 - Y) delays least, and its
green is divided as the stages' own y.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edge_server.signals.layout import Layout
from edge_server.signals.timetable import Slot, Timetable
from protocol.ids import ApproachId, LaneId, StageId

SATURATION_VEH_H = 1800.0
STARTUP_LOST_MS = 2_000
CYCLE_LEAST_MS = 30_000
CYCLE_MOST_MS = 120_000
# Beyond this the formula's cycle grows without end.
Y_MOST = 0.9

Flows = Mapping[tuple[ApproachId, LaneId], float]


def retimed(layout: Layout, flows: Flows) -> Layout:
    """The layout with its plan's stages in their order, their greens by Webster. flows: vehicles an hour on each lane
    before its stop line; what is not named counts as none. Without any flow the plan stays."""
    ratios = _ratios(layout, flows)
    total = sum(ratios.values())
    if total <= 0.0:
        return layout
    order = [slot.stage for slot in layout.plan.slots]
    changes_ms = [_change_ms(layout, one, after) for one, after in zip(order, (*order[1:], *order[:1]), strict=True)]
    lost_ms = sum(changes_ms) + STARTUP_LOST_MS * len(order)
    cycle_ms = (1.5 * lost_ms + 5_000) / (1.0 - min(total, Y_MOST))
    cycle_ms = min(CYCLE_MOST_MS, max(CYCLE_LEAST_MS, cycle_ms))
    green_ms = max(0.0, cycle_ms - sum(changes_ms))
    slots, at_ms = [], 0
    for stage, change_ms in zip(order, changes_ms, strict=True):
        share_ms = round(green_ms * ratios[stage] / total / order.count(stage) / 1000) * 1000
        end_ms = at_ms + max(_least_ms(layout, stage), share_ms)
        walks = tuple(
            (one, end_ms - layout.phases[one].clearance_ms) for one in sorted(layout.stages[stage].pedestrians)
        )
        slots.append(Slot(stage, tuple(sorted(layout.stages[stage].phases)), at_ms, end_ms, end_ms + change_ms, walks))
        at_ms = end_ms + change_ms
    return replace(layout, plan=Timetable(tuple(slots), at_ms, layout.plan.offset_ms))


def _ratios(layout: Layout, flows: Flows) -> dict[StageId, float]:
    """Of each stage of the plan, the greatest flow of a lane that it alone has to serve, over saturation flow. A lane
    belongs to the stages in which it gives way to nobody, else to all that serve it."""
    ratios = dict.fromkeys((slot.stage for slot in layout.plan.slots), 0.0)
    for approach in layout.approaches:
        for lane in approach.lanes:
            serving = [one for one in ratios if not lane.phases.isdisjoint(layout.stages[one].phases)]
            free = [one for one in serving if not lane.phases <= layout.stages[one].yields] or serving
            for one in free:
                own = flows.get((approach.id, lane.id), 0.0) / SATURATION_VEH_H / len(free)
                ratios[one] = max(ratios[one], own)
    return ratios


def _change_ms(layout: Layout, stage: StageId, after: StageId) -> int:
    ending = layout.stages[stage].phases - layout.stages[after].phases - layout.pedestrians
    return max((layout.phases[one].change_ms for one in ending), default=0)


def _least_ms(layout: Layout, stage: StageId) -> int:
    times = (layout.phases[one] for one in layout.stages[stage].phases)
    return max(one.least_ms + one.clearance_ms for one in times)
