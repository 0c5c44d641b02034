"""Where cameras can watch the approaches of an intersection of any net: each road as its camera's road frame.

A camera looks along a straight road, VISIBLE_M far at the most, as those of the simulated city do.
"""

from __future__ import annotations

from dataclasses import replace
from math import hypot
from typing import Any

import msgspec

from protocol.ids import ApproachId
from sim_devices.city.site import VISIBLE_LENGTH_M
from sim_devices.city.view import ApproachView
from sim_devices.errors import ApproachUnwatchable
from sim_devices.render.road import Road
from sim_devices.sumo.net import Net
from sim_devices.sumo.signals import Steered

LEAST_M = 25.0
# A road is straight as long as its lanes stay this near to one line.
ASIDE_M = 0.75
# The other direction's lanes begin within this of ours, and lead the same way as a camera looks.
MEDIAN_MOST_M = 8.0
PARALLEL = 0.97
DIRECTION_M = 5.0

Point = tuple[float, float]


def views_of(net: Net, one: Steered, api: Any) -> dict[ApproachId, ApproachView]:
    """api: libsumo with this net loaded, for the lanes' shapes. Raises ApproachUnwatchable (KF308)."""
    return {approach: _view(net, approach, lanes, api) for approach, lanes in one.stop_lanes.items()}


def watched(one: Steered, views: dict[ApproachId, ApproachView]) -> Steered:
    """The same intersection with what its cameras see written down as its approaches' visible length."""
    approaches = tuple(
        msgspec.structs.replace(approach, visible_length_m=views[approach.id].road.visible_length_m)
        for approach in one.intersection.approaches
    )
    return replace(one, intersection=msgspec.structs.replace(one.intersection, approaches=approaches))


def _view(net: Net, approach: ApproachId, lanes: tuple[str, ...], api: Any) -> ApproachView:
    """lanes: from the kerb."""
    *further, end = api.lane.getShape(lanes[0])
    # A shape's last piece may be too short to tell a direction.
    far_enough = (one for one in reversed(further) if hypot(one[0] - end[0], one[1] - end[1]) >= DIRECTION_M)
    before = next(far_enough, further[0])
    length_m = hypot(before[0] - end[0], before[1] - end[1])
    ux, uy = (before[0] - end[0]) / length_m, (before[1] - end[1]) / length_m
    widths_m = tuple(net.lanes[lane].width_m for lane in lanes)
    half_m = widths_m[0] / 2
    kerb = (end[0] - uy * half_m, end[1] + ux * half_m)
    seen_m = min(VISIBLE_LENGTH_M, *(_straight_m(net, lane, (ux, uy), api) for lane in lanes))
    if seen_m < LEAST_M:
        raise ApproachUnwatchable(road=net.lanes[lanes[0]].edge, straight_m=round(seen_m), least_m=round(LEAST_M))
    road = Road(widths_m, seen_m, opposite_widths_m=(), arrows=tuple(_turns(lane, api) for lane in lanes))
    view = ApproachView(approach, road, kerb, (ux, uy))
    return replace(view, road=replace(road, opposite_widths_m=_opposite(net, lanes[0], view, api)))


def _straight_m(net: Net, lane: str, upstream: Point, api: Any) -> float:
    """How far up from its stop line a lane and those that lead to it go straight."""
    (ox, oy), (ux, uy) = api.lane.getShape(lane)[-1], upstream
    along_m, at, seen = 0.0, lane, {lane}
    while True:
        for x, y in reversed(api.lane.getShape(at)):
            dx, dy = x - ox, y - oy
            if abs(dx * uy - dy * ux) > ASIDE_M:
                return along_m
            along_m = max(along_m, dx * ux + dy * uy)
        leading = [way.from_lane for way in net.into.get(at, ()) if way.signal is None and way.from_lane[0] != ":"]
        # The other direction's lanes of a road that forks are no way here; a lane that begins beside it ends the rest.
        at = next((one for one in leading if one not in seen), "")
        if not at or along_m >= VISIBLE_LENGTH_M:
            return along_m
        seen.add(at)
        ox, oy = _beside(api.lane.getShape(at)[-1], (ox, oy), upstream)


def _beside(point: Point, line: Point, along: Point) -> Point:
    """line, moved sideways to run through point: where lanes are added, the road goes on beside."""
    across = (point[0] - line[0]) * along[1] - (point[1] - line[1]) * along[0]
    return line[0] + across * along[1], line[1] - across * along[0]


def _opposite(net: Net, lane: str, view: ApproachView, api: Any) -> tuple[float, ...]:
    """Widths of the lanes that lead away beside ours, from the middle of the road."""
    junction, width_m = net.ends[net.lanes[lane].edge][1], view.road.width_m
    (kx, ky), (ux, uy), found = view.origin, view.upstream, []
    for other in net.lanes.values():
        if net.ends.get(other.edge, ("", ""))[0] != junction:
            continue
        (bx, by), (ex, ey) = api.lane.getShape(other.id)[:2]
        length_m = hypot(ex - bx, ey - by)
        across_m = (bx - kx) * uy - (by - ky) * ux
        parallel = ((ex - bx) * ux + (ey - by) * uy) / length_m if length_m else 0.0
        if parallel > PARALLEL and width_m < across_m:
            found.append((across_m - other.width_m / 2, other.width_m))
    found.sort()
    if not found or found[0][0] - width_m > MEDIAN_MOST_M:
        return ()
    return tuple(width for _, width in found)


def _turns(lane: str, api: Any) -> str:
    turns = {link[6].lower() for link in api.lane.getLinks(lane)}
    return "".join(turn for turn in "slr" if turn in turns)
