"""Longitude and latitude to metres on a plane, good for a city."""

from __future__ import annotations

from itertools import pairwise
from math import cos, hypot, radians

METRES_PER_DEGREE = 111_320.0

LonLat = tuple[float, float]


def to_metres(point: LonLat, origin: LonLat) -> tuple[float, float]:
    """East and north of `origin`, in metres (equirectangular: better than 0.1 % within 20 km)."""
    return (
        (point[0] - origin[0]) * METRES_PER_DEGREE * cos(radians(origin[1])),
        (point[1] - origin[1]) * METRES_PER_DEGREE,
    )


def to_lonlat(east_m: float, north_m: float, origin: LonLat) -> LonLat:
    return (
        origin[0] + east_m / (METRES_PER_DEGREE * cos(radians(origin[1]))),
        origin[1] + north_m / METRES_PER_DEGREE,
    )


def length_m(line: tuple[LonLat, ...]) -> float:
    """Length of a line of points, in metres."""
    steps = [to_metres(b, a) for a, b in pairwise(line)]
    return sum(hypot(east, north) for east, north in steps)
