"""The site as the map needs it, and as GeoJSON for other maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import hypot

from edge_server.gateway.views import ApproachSite, IntersectionSite, LaneSite, SiteView
from protocol.geo import LonLat, to_lonlat, to_metres
from protocol.ids import DeviceId
from protocol.site import Approach, Site

GeoJson = dict[str, object]


def site_view(site: Site, edge: DeviceId) -> SiteView:
    """A site without a road is shown as none."""
    approaches = [
        _approach(approach, intersection.id)
        for intersection in site.intersections
        for approach in intersection.approaches
    ]
    approaches += [_approach(approach, None) for approach in site.watched]
    return SiteView(
        id=site.id if approaches else None,
        name=site.name,
        simulated=site.simulated,
        edge=edge,
        intersections=tuple(
            IntersectionSite(id=one.id, name=one.name, position=one.position, controller=one.controller)
            for one in site.intersections
        ),
        approaches=tuple(approaches),
    )


def _approach(approach: Approach, intersection: str | None) -> ApproachSite:
    return ApproachSite(
        id=approach.id,
        name=approach.name,
        intersection=intersection,
        camera=approach.camera,
        line=approach.line,
        road_width_m=approach.road_width_m,
        visible_length_m=approach.visible_length_m,
        speed_limit_mps=approach.speed_limit_mps,
        lanes=tuple(LaneSite(id=lane.id, width_m=lane.width_m, phases=lane.phases) for lane in approach.lanes),
    )


def geojson(view: SiteView) -> GeoJson:
    """RFC 7946: approaches and their lanes as lines, which run with the traffic and end at the stop line;
    intersections as points. Lanes lie side by side about their approach's line, the first at the kerb (right)."""
    lines = [
        _feature(
            "LineString",
            approach.line,
            {"kind": "approach", "lanes": [lane.id for lane in approach.lanes]}
            | approach.model_dump(include={"id", "name", "intersection", "camera", "road_width_m"}),
        )
        for approach in view.approaches
    ]
    lanes = [
        _feature(
            "LineString",
            [_beside(approach.line, i, right_m) for i in range(len(approach.line))],
            {"kind": "lane", "id": lane.id, "approach": approach.id, "phases": lane.phases, "width_m": lane.width_m},
        )
        for approach in view.approaches
        for lane, right_m in _offsets(approach)
    ]
    points = [
        _feature("Point", one.position, {"kind": "intersection"} | one.model_dump(exclude={"position"}))
        for one in view.intersections
    ]
    return {"type": "FeatureCollection", "features": lines + lanes + points}


def _offsets(approach: ApproachSite) -> Iterator[tuple[LaneSite, float]]:
    """Each lane with the distance of its middle from the approach's line, in metres to the right of the traffic."""
    edge_m = sum(lane.width_m for lane in approach.lanes) / 2
    for lane in approach.lanes:
        yield lane, edge_m - lane.width_m / 2
        edge_m -= lane.width_m


def _beside(line: Sequence[LonLat], at: int, right_m: float) -> LonLat:
    """The point `right_m` to the right of a line's point `at`."""
    before, after = line[max(0, at - 1)], line[min(len(line) - 1, at + 1)]
    east, north = to_metres(after, before)
    length = hypot(east, north) or 1.0
    return to_lonlat(north / length * right_m, -east / length * right_m, line[at])


def _feature(kind: str, coordinates: object, properties: dict[str, object]) -> GeoJson:
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": properties,
    }
