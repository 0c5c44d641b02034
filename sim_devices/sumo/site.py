"""All intersections of a net as one site, and what the edge needs to decide on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from edge_server.signals.timetable import Slot, Timetable
from protocol.ids import ApproachId, PhaseId, SiteId, StageId
from protocol.site import Approach, Site
from sim_devices.sumo.net import Net
from sim_devices.sumo.signals import Steered

# How far the road from one signal to the next is followed.
LINK_MOST_M = 600.0


def make_site(net: Net, steered: Sequence[Steered]) -> Site:
    """`to` of each lane: the approaches that its exits lead to."""
    stop_edges: dict[str, list[ApproachId]] = {}
    for one in steered:
        for approach, lanes in one.stop_lanes.items():
            stop_edges.setdefault(net.lanes[lanes[0]].edge, []).append(approach)
    after: dict[str, set[str]] = {}
    length_m: dict[str, float] = {}
    for ways in net.ways.values():
        for way in ways:
            if not way.crossing:
                after.setdefault(net.lanes[way.from_lane].edge, set()).add(net.lanes[way.to_lane].edge)
    for lane in net.lanes.values():
        length_m[lane.edge] = lane.length_m
    return Site(
        id=SiteId("sumo-net"),
        name=net.path.name,
        simulated=True,
        intersections=tuple(
            replace(
                one.intersection,
                approaches=tuple(
                    _linked(approach, stop_edges, after, length_m) for approach in one.intersection.approaches
                ),
            )
            for one in steered
        ),
    )


def _linked(
    approach: Approach,
    stop_edges: Mapping[str, Sequence[ApproachId]],
    after: Mapping[str, set[str]],
    length_m: Mapping[str, float],
) -> Approach:
    def led_to(edge: str) -> tuple[str, ...]:
        found: dict[str, None] = {}
        reached = {edge}
        frontier = [(edge, 0.0)]
        while frontier:
            at, gone_m = frontier.pop()
            if at in stop_edges:
                found.update(dict.fromkeys(map(str, stop_edges[at])))
                continue
            gone_m += length_m[at]
            for other in sorted(after.get(at, ())) if gone_m <= LINK_MOST_M else ():
                if other not in reached:
                    reached.add(other)
                    frontier.append((other, gone_m))
        return tuple(found) or ("out",)

    lanes = tuple(
        replace(lane, to=tuple(dict.fromkeys(one for edge in lane.to for one in led_to(edge))))
        for lane in approach.lanes
    )
    return replace(approach, lanes=lanes)


def timetable_of(one: Steered) -> Timetable:
    """The programme as the net times it: a stage is due from the moment at which the change to it begins."""
    programme = one.programme
    stage_of = {phases: stage for stage, phases in one.stages.items()}
    begins: list[tuple[int, int, StageId, frozenset[PhaseId]]] = []
    at_ms = 0
    for at, step in enumerate(programme.steps):
        phases = frozenset(group.phase for group in one.groups if group.links[0] in step.greens)
        if not programme.is_change(at) and phases in stage_of:
            if begins and begins[-1][2] == stage_of[phases] and begins[-1][1] == at_ms:
                begins[-1] = (begins[-1][0], at_ms + step.duration_ms, *begins[-1][2:])
            else:
                begins.append((at_ms, at_ms + step.duration_ms, stage_of[phases], phases))
        at_ms += step.duration_ms
    cycle_ms = programme.cycle_ms
    shift_ms = begins[0][0]
    ends = [begin for begin, *_ in begins[1:]] + [begins[0][0] + cycle_ms]
    slots = tuple(
        Slot(stage, tuple(sorted(phases)), begin - shift_ms, until - shift_ms, end - shift_ms, ())
        for (begin, until, stage, phases), end in zip(begins, ends, strict=True)
    )
    return Timetable(slots, cycle_ms, programme.offset_ms + shift_ms)
