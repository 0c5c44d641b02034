"""What is really on the road: the figures that an estimate from the picture is judged against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sim_devices.render.road import Road
from sim_devices.render.vehicle import Kind, RoadVehicle

STANDING_MPS = 5 / 3.6
QUEUE_GAP_M = 15.0

Point = tuple[float, float]


@dataclass(frozen=True)
class VehicleBox:
    """Where one vehicle shows. box: left, top, right, bottom of its visible pixels (right and bottom exclusive).
    visible_px: how many they are. beacons: it flashes; lit: one of its beacons is lit in this frame (left or right)."""

    id: str
    kind: Kind
    box: tuple[int, int, int, int]
    visible_px: int
    beacons: bool
    lit: str | None


@dataclass(frozen=True)
class Truth:
    """occupancy: vehicle footprint area inside the rectangle / its area (protocol.units); lane_occupancy: the same for
    each lane. queue_m: from the stop line to the rear of the last vehicle that stands (below 5 km/h) in an unbroken
    queue within the rectangle; the longest lane's. count: vehicles whose middle lies in the rectangle; speed_mps: their
    mean, None without one. corners: pixels of the rectangle: near-left, near-right, far-right, far-left."""

    t_s: float
    occupancy: float
    lane_occupancy: tuple[float, ...]
    queue_m: float
    lane_queue_m: tuple[float, ...]
    count: int
    speed_mps: float | None
    corners: tuple[Point, Point, Point, Point]
    boxes: tuple[VehicleBox, ...] = ()


def clipped_area_m2(polygon: Sequence[Point], low: Point, high: Point) -> float:
    """Area of a convex polygon inside an upright rectangle (Sutherland and Hodgman 1974, then the shoelace formula)."""
    points = list(polygon)
    for axis in (0, 1):
        for bound, sign in ((low[axis], 1.0), (high[axis], -1.0)):
            points = _clip(points, axis, bound, sign)
            if len(points) < 3:
                return 0.0
    pairs = zip(points, points[1:] + points[:1], strict=True)
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs)) / 2


def _clip(points: list[Point], axis: int, bound: float, sign: float) -> list[Point]:
    kept: list[Point] = []
    for a, b in zip(points, points[1:] + points[:1], strict=True):
        a_in, b_in = sign * (a[axis] - bound), sign * (b[axis] - bound)
        if a_in >= 0:
            kept.append(a)
        if (a_in >= 0) != (b_in >= 0):
            share = a_in / (a_in - b_in)
            kept.append((a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])))
    return kept


def measure(
    road: Road,
    vehicles: Sequence[RoadVehicle],
    t_s: float,
    corners: tuple[Point, Point, Point, Point],
    boxes: tuple[VehicleBox, ...] = (),
) -> Truth:
    """The truth of one moment. Vehicles of the other direction and of the junction, and people, count for nothing."""
    length = road.visible_length_m
    bounds = road.lane_bounds()
    areas = [0.0] * len(bounds)
    standing: list[list[tuple[float, float]]] = [[] for _ in bounds]
    speeds: list[float] = []
    for vehicle in vehicles:
        if vehicle.kind == "person":
            continue
        polygon = vehicle.footprint()
        xs, ys = [p[0] for p in polygon], [p[1] for p in polygon]
        if max(ys) <= 0 or min(ys) >= length or max(xs) <= 0 or min(xs) >= road.width_m:
            continue
        for lane, (low, high) in enumerate(bounds):
            if min(xs) < high and max(xs) > low:
                areas[lane] += clipped_area_m2(polygon, (low, 0.0), (high, length))
        x, y = sum(xs) / 4, sum(ys) / 4
        if 0 <= x < road.width_m and 0 <= y < length:
            speeds.append(vehicle.speed_mps)
        if 0 <= x < road.width_m and vehicle.speed_mps < STANDING_MPS:
            lane = next(i for i, (low, high) in enumerate(bounds) if low <= x < high)
            standing[lane].append((min(ys), max(ys)))
    queues = tuple(_queue_m(one, length) for one in standing)
    return Truth(
        t_s=t_s,
        occupancy=min(1.0, sum(areas) / road.area_m2),
        lane_occupancy=tuple(
            min(1.0, area / ((high - low) * length)) for area, (low, high) in zip(areas, bounds, strict=True)
        ),
        queue_m=max(queues),
        lane_queue_m=queues,
        count=len(speeds),
        speed_mps=sum(speeds) / len(speeds) if speeds else None,
        corners=corners,
        boxes=boxes,
    )


def _queue_m(standing: list[tuple[float, float]], length_m: float) -> float:
    end = 0.0
    for front, rear in sorted(standing):
        if front - end > QUEUE_GAP_M:
            break
        end = max(end, rear)
    return min(end, length_m)
