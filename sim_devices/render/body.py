"""Shapes of vehicles: a few convex polygons for each kind, with a material for each polygon.

Vehicle frame, in shares of the vehicle's length, width and height: x 0 at the front bumper and -1 at the rear, y -0.5
right to 0.5 left, z 0 on the road to 1 at the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from sim_devices.render.arrays import Array
from sim_devices.render.vehicle import SIZES, Kind

CORNERS = 8
MATERIALS = (
    "paint", "glass", "tyre", "dark", "head", "tail", "plate", "cargo", "stripe", "beacon-left", "beacon-right",
    "skin", "cloth", "sign", "chrome", "inside",
)  # fmt: skip
_INDEX = {name: index for index, name in enumerate(MATERIALS)}

P3 = tuple[float, float, float]


@dataclass(frozen=True)
class Body:
    """points: polygons (n, CORNERS, 3), short ones padded by their last corner. material: (n,) indices of MATERIALS.
    detail: (n,) True where a distant vehicle does without. Order: as painted when seen from the front."""

    points: Array
    material: Array
    detail: Array


class _Builder:
    def __init__(self) -> None:
        self.polygons: list[tuple[list[P3], str, bool]] = []

    def face(self, material: str, *points: P3, detail: bool = False) -> None:
        self.polygons.append((list(points), material, detail))

    def both(self, material: str, *points: P3, detail: bool = False) -> None:
        """The same polygon on the left and, mirrored, on the right; points are given for the left side."""
        self.face(material, *points, detail=detail)
        self.face(material, *[(x, -y, z) for x, y, z in reversed(points)], detail=detail)

    def front(
        self, material: str, x: float, y: tuple[float, float], z: tuple[float, float], detail: bool = True
    ) -> None:
        """An upright rectangle that faces forwards."""
        self.face(material, (x, y[0], z[0]), (x, y[1], z[0]), (x, y[1], z[1]), (x, y[0], z[1]), detail=detail)

    def rear(
        self, material: str, x: float, y: tuple[float, float], z: tuple[float, float], detail: bool = True
    ) -> None:
        self.face(material, (x, y[1], z[0]), (x, y[0], z[0]), (x, y[0], z[1]), (x, y[1], z[1]), detail=detail)

    def side(self, material: str, x: tuple[float, float], z: tuple[float, float], y: float = 0.505) -> None:
        """Rectangles on both sides, x from the rear to the front."""
        self.both(material, (x[1], y, z[0]), (x[0], y, z[0]), (x[0], y, z[1]), (x[1], y, z[1]), detail=True)

    def box(self, material: str, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float]) -> None:
        """x from the rear to the front."""
        (r, f), (a, b), (low, high) = x, y, z
        self.face(material, (r, b, low), (r, a, low), (r, a, high), (r, b, high))
        self.face(material, (f, b, low), (r, b, low), (r, b, high), (f, b, high))
        self.face(material, (r, a, low), (f, a, low), (f, a, high), (r, a, high))
        self.face(material, (f, a, low), (f, b, low), (f, b, high), (f, a, high))
        self.face(material, (f, a, high), (f, b, high), (r, b, high), (r, a, high))

    def wheels(self, xs: Sequence[float], length_m: float, height_m: float, radius_m: float, y: float = 0.51) -> None:
        angles = np.arange(8) * np.pi / 4 + np.pi / 8
        for x in xs:
            for share, material in ((1.0, "tyre"), (0.55, "chrome")):
                ring = [
                    (
                        x + share * radius_m / length_m * float(np.cos(a)),
                        y,
                        radius_m / height_m * (1 + share * float(np.sin(a))),
                    )
                    for a in angles
                ]
                self.both(material, *reversed(ring), detail=material == "chrome")

    def windscreen(self, foot: P3, top: P3) -> None:
        """Glass between its lower and upper left corners and their mirror, with the dashboard dark behind it."""
        (x0, y0, z0), (x1, y1, z1) = foot, top
        self.face("glass", (x0, -y0, z0), (x0, y0, z0), (x1, y1, z1), (x1, -y1, z1))
        x, y, z = (a + 0.24 * (b - a) for a, b in zip(foot, top, strict=True))
        y0, y = y0 * 0.94, y * 0.94
        self.face("inside", (x0, -y0, z0), (x0, y0, z0), (x, y, z), (x, -y, z), detail=True)

    def light_bar(self, x: tuple[float, float], z: float, top: float) -> None:
        self.box("beacon-right", x, (-0.34, -0.02), (z, top))
        self.box("beacon-left", x, (0.02, 0.34), (z, top))

    def done(self) -> Body:
        points = np.array([p + [p[-1]] * (CORNERS - len(p)) for p, _, _ in self.polygons], dtype=float)
        material = np.array([_INDEX[m] for _, m, _ in self.polygons])
        return Body(points, material, np.array([d for _, _, d in self.polygons]))


def _lamps(b: _Builder, z: tuple[float, float], front_x: float = 0.004, rear_x: float = -1.004) -> None:
    for y in ((0.26, 0.45), (-0.45, -0.26)):
        b.front("head", front_x, y, z, detail=False)
        b.rear("tail", rear_x, (0.30, 0.47) if y[0] > 0 else (-0.47, -0.30), (z[0] + 0.04, z[1] + 0.06), detail=False)
    b.front("plate", front_x, (-0.13, 0.13), (z[0] - 0.13, z[0] - 0.06))
    b.rear("plate", rear_x, (-0.13, 0.13), (z[0] - 0.02, z[0] + 0.06))


def _saloon(cowl: float, roof: tuple[float, float], boot: float, belt: float = 0.62) -> _Builder:
    """A car by its profile: bonnet to `cowl`, roof from and to, rear window's foot at `boot`."""
    b = _Builder()
    nose, sill = 0.50, 0.17
    size = SIZES["car"]
    b.rear("paint", -1.0, (-0.47, 0.47), (sill, belt), detail=False)
    b.face("paint", (boot, -0.48, belt), (boot, 0.48, belt), (-1.0, 0.47, belt), (-1.0, -0.47, belt))
    b.both("paint", (0, 0.46, sill), (-1, 0.47, sill), (-1, 0.47, belt), (cowl, 0.5, belt), (0, 0.46, nose))
    b.wheels((-0.19, -0.80), size[0], size[2], 0.32)
    b.front("paint", 0.0, (-0.46, 0.46), (sill, nose), detail=False)
    b.front("dark", 0.003, (-0.24, 0.24), (0.27, 0.40))
    b.front("dark", 0.003, (-0.40, 0.40), (0.17, 0.23))
    b.face("paint", (0, -0.46, nose), (0, 0.46, nose), (cowl, 0.48, belt), (cowl, -0.48, belt))
    _lamps(b, (0.38, 0.48))
    foot, top = 0.47, 0.37
    b.face("glass", (boot, foot, belt), (boot, -foot, belt), (roof[1], -top, 1.0), (roof[1], top, 1.0))
    b.both("paint", (cowl, foot, belt), (boot, foot, belt), (roof[1], top, 1.0), (roof[0], top, 1.0))
    middle = (roof[0] + roof[1]) / 2
    for x in ((cowl - 0.06, middle + 0.01, roof[0] - 0.02), (middle - 0.02, boot + 0.06, roof[1] + 0.02)):
        front, rear, upper = x
        y_foot, y_top = foot - 0.002, top + 0.02
        first = upper if front > middle else middle - 0.02
        last = middle + 0.01 if front > middle else upper
        b.both(
            "glass",
            (front, y_foot, belt + 0.03),
            (rear, y_foot, belt + 0.03),
            (last, y_top, 0.93),
            (first, y_top, 0.93),
        )
    b.windscreen((cowl, foot, belt), (roof[0], top, 1.0))
    b.face("paint", (roof[0], -top, 1.0), (roof[0], top, 1.0), (roof[1], top, 1.0), (roof[1], -top, 1.0))
    return b


def _police() -> _Builder:
    b = _saloon(-0.26, (-0.43, -0.72), -0.88, belt=0.57)
    b.side("stripe", (-0.98, -0.02), (0.36, 0.46), y=0.485)
    b.light_bar((-0.62, -0.53), 1.0, 1.11)
    return b


def _van(kind: Kind) -> _Builder:
    b = _Builder()
    length, _, height = SIZES[kind]
    sill, top = 0.14, 0.97 if kind == "van" else 0.90
    b.rear("paint", -1.0, (-0.49, 0.49), (sill, top), detail=False)
    b.rear("glass", -1.004, (-0.40, -0.04), (0.55, 0.82))
    b.rear("glass", -1.004, (0.04, 0.40), (0.55, 0.82))
    b.both("paint", (0, 0.48, sill), (-1, 0.5, sill), (-1, 0.49, 0.55), (-0.12, 0.49, 0.55), (0, 0.48, 0.42))
    b.both("paint", (-0.12, 0.49, 0.55), (-1, 0.49, 0.55), (-1, 0.47, top), (-0.26, 0.47, top))
    b.both("glass", (-0.14, 0.497, 0.55), (-0.32, 0.497, 0.55), (-0.32, 0.48, 0.84), (-0.25, 0.48, 0.84))
    if kind == "ambulance":
        b.side("stripe", (-0.98, -0.02), (0.34, 0.46))
        b.side("glass", (-0.75, -0.45), (0.58, 0.78))
    b.wheels((-0.17, -0.80), length, height, 0.36)
    b.front("paint", 0.0, (-0.48, 0.48), (sill, 0.42), detail=False)
    b.front("dark", 0.003, (-0.30, 0.30), (0.22, 0.33))
    b.face("paint", (0, -0.48, 0.42), (0, 0.48, 0.42), (-0.12, 0.48, 0.55), (-0.12, -0.48, 0.55))
    _lamps(b, (0.31, 0.40))
    if kind == "ambulance":
        b.front("stripe", 0.004, (-0.48, 0.48), (0.41, 0.44))
    b.windscreen((-0.12, 0.46, 0.55), (-0.24, 0.44, 0.90))
    b.face("paint", (-0.24, -0.45, 0.90), (-0.24, 0.45, 0.90), (-0.27, 0.46, top), (-0.27, -0.46, top))
    b.face("paint", (-0.26, -0.47, top), (-0.26, 0.47, top), (-1, 0.47, top), (-1, -0.47, top))
    if kind == "ambulance":
        b.light_bar((-0.36, -0.29), top, 1.0)
    return b


def _bus() -> _Builder:
    b = _Builder()
    length, _, height = SIZES["bus"]
    b.box("paint", (-1.0, 0.0), (-0.5, 0.5), (0.10, 0.97))
    b.rear("glass", -1.003, (-0.42, 0.42), (0.58, 0.88))
    b.side("glass", (-0.97, -0.05), (0.48, 0.84))
    for x in (-0.84, -0.68, -0.52, -0.36, -0.20):
        b.side("paint", (x - 0.008, x + 0.008), (0.48, 0.84), y=0.507)
    b.side("stripe", (-1.0, 0.0), (0.36, 0.42))
    for x in (-0.62, -0.12):
        b.face("dark", (x, -0.507, 0.12), (x + 0.09, -0.507, 0.12), (x + 0.09, -0.507, 0.82), (x, -0.507, 0.82))
    b.wheels((-0.20, -0.74), length, height, 0.48)
    b.front("glass", 0.003, (-0.46, 0.46), (0.40, 0.82), detail=False)
    b.front("sign", 0.004, (-0.34, 0.34), (0.85, 0.93), detail=False)
    b.front("dark", 0.003, (-0.48, 0.48), (0.10, 0.17))
    _lamps(b, (0.22, 0.29))
    b.box("cargo", (-0.70, -0.35), (-0.3, 0.3), (0.97, 1.0))
    return b


def _truck(kind: Kind) -> _Builder:
    """A cab and what it carries: the load is painted before the cab, as seen from the front."""
    b = _Builder()
    length, _, height = SIZES[kind]
    load = "paint" if kind == "fire-engine" else "cargo"
    cab_top = 0.80 if kind == "truck" else 0.88
    b.box("dark", (-1.0, 0.0), (-0.40, 0.40), (0.10, 0.30))
    b.box(load, (-1.0, -0.26), (-0.5, 0.5), (0.28, 0.98 if kind == "truck" else 0.92))
    b.rear("dark", -1.003, (-0.01, 0.01), (0.32, 0.95))
    if kind == "fire-engine":
        b.side("chrome", (-0.92, -0.34), (0.36, 0.70))
        for x in (-0.78, -0.63, -0.48):
            b.side("paint", (x - 0.01, x + 0.01), (0.36, 0.70), y=0.508)
        b.side("stripe", (-1.0, -0.26), (0.74, 0.80))
        b.box("chrome", (-0.95, -0.35), (-0.25, 0.25), (0.92, 0.97))
    else:
        b.side("stripe", (-0.90, -0.40), (0.55, 0.72))
    b.box("paint", (-0.24, 0.0), (-0.47, 0.47), (0.12, cab_top))
    b.side("glass", (-0.16, -0.02), (0.48, 0.70), y=0.475)
    b.wheels((-0.13, -0.70, -0.84) if kind == "truck" else (-0.15, -0.76), length, height, 0.50, y=0.5)
    b.front("glass", 0.003, (-0.42, 0.42), (0.44, cab_top - 0.10), detail=False)
    b.front("dark", 0.003, (-0.34, 0.34), (0.26, 0.40))
    b.front("dark", 0.003, (-0.47, 0.47), (0.10, 0.16))
    if kind == "fire-engine":
        b.front("stripe", 0.004, (-0.47, 0.47), (0.40, 0.43))
    _lamps(b, (0.20, 0.27))
    if kind == "fire-engine":
        b.light_bar((-0.16, -0.06), cab_top, 1.0)
    return b


def _two_wheeler(kind: Kind) -> _Builder:
    b = _Builder()
    length, _, height = SIZES[kind]
    radius = 0.31 if kind == "motorcycle" else 0.33
    body = (0.18, 0.55) if kind == "motorcycle" else (0.35, 0.50)
    b.wheels((-0.83, -0.16), length, height, radius, y=0.06)
    b.box("paint" if kind == "motorcycle" else "dark", (-0.88, -0.14), (-0.12, 0.12), body)
    b.rear("tail", -0.885, (-0.10, 0.10), (body[1] - 0.08, body[1] - 0.02), detail=False)
    b.both("dark", (-0.50, 0.28, 0.25), (-0.64, 0.28, 0.25), (-0.64, 0.28, 0.55), (-0.36, 0.28, 0.55))
    b.box("cloth", (-0.70, -0.42), (-0.32, 0.32), (0.52, 0.84))
    b.box("skin", (-0.64, -0.50), (-0.18, 0.18), (0.84, 1.0))
    b.front("dark", -0.495, (-0.14, 0.14), (0.88, 0.96))
    b.box("dark", (-0.30, -0.24), (-0.5, 0.5), (0.58, 0.62))
    if kind == "motorcycle":
        b.front("head", -0.135, (-0.14, 0.14), (0.44, 0.54), detail=False)
    return b


def _three_wheeler() -> _Builder:
    """An auto-rickshaw: a narrow nose over one wheel, a cabin without doors beneath a canopy."""
    b = _Builder()
    length, _, height = SIZES["three-wheeler"]
    sill, waist, eaves = 0.14, 0.46, 0.90
    b.rear("paint", -1.0, (-0.5, 0.5), (sill, waist + 0.08), detail=False)
    b.rear("cargo", -0.99, (-0.47, 0.47), (waist + 0.08, eaves), detail=False)
    b.rear("glass", -0.995, (-0.24, 0.24), (0.62, 0.78))
    b.both("paint", (-0.24, 0.40, sill), (-1.0, 0.5, sill), (-1.0, 0.5, waist), (-0.24, 0.40, waist))
    b.both("inside", (-0.26, 0.38, waist), (-0.74, 0.47, waist), (-0.74, 0.46, eaves), (-0.32, 0.40, eaves))
    b.both("cargo", (-0.74, 0.48, waist), (-1.0, 0.5, waist), (-0.99, 0.47, eaves), (-0.74, 0.47, eaves))
    b.wheels((-0.80,), length, height, 0.24)
    b.box("tyre", (-0.16, -0.02), (-0.06, 0.06), (0.0, 0.20))
    b.face("paint", (0, -0.20, sill), (0, 0.20, sill), (-0.08, 0.28, waist), (-0.08, -0.28, waist))
    b.both("paint", (0, 0.20, sill), (-0.24, 0.40, sill), (-0.24, 0.40, waist), (-0.08, 0.28, waist))
    b.face(
        "paint", (-0.08, -0.28, waist), (-0.08, 0.28, waist), (-0.24, 0.42, waist + 0.04), (-0.24, -0.42, waist + 0.04)
    )
    b.windscreen((-0.22, 0.42, waist + 0.03), (-0.30, 0.42, eaves - 0.04))
    b.front("head", 0.004, (-0.10, 0.10), (0.26, 0.36), detail=False)
    for y in ((0.34, 0.46), (-0.46, -0.34)):
        b.rear("tail", -1.004, y, (0.34, 0.44), detail=False)
    b.rear("plate", -1.004, (-0.14, 0.14), (0.24, 0.32))
    b.face("cargo", (-0.28, -0.42, eaves), (-0.28, 0.42, eaves), (-0.42, 0.42, 1.0), (-0.42, -0.42, 1.0))
    b.both("cargo", (-0.28, 0.43, eaves - 0.04), (-1.0, 0.48, eaves - 0.04), (-0.96, 0.42, 1.0), (-0.42, 0.42, 1.0))
    b.face("cargo", (-0.42, -0.42, 1.0), (-0.42, 0.42, 1.0), (-0.96, 0.42, 1.0), (-0.96, -0.42, 1.0))
    return b


def _person(stride: float) -> _Builder:
    """On foot; stride: how far the legs are apart, as a share of the depth of the body."""
    b = _Builder()
    for side, swing in ((-1, stride), (1, -stride)):
        y = (0.05, 0.27) if side > 0 else (-0.27, -0.05)
        b.box("dark", (-0.66 + swing, -0.34 + swing), y, (0.0, 0.26))
        b.box("paint", (-0.68 + swing / 2, -0.32 + swing / 2), y, (0.24, 0.50))
        arm = (0.34, 0.5) if side > 0 else (-0.5, -0.34)
        b.box("cloth", (-0.62 - swing / 2, -0.38 - swing / 2), arm, (0.46, 0.80))
    b.box("cloth", (-0.76, -0.24), (-0.36, 0.36), (0.48, 0.83))
    b.box("skin", (-0.64, -0.34), (-0.17, 0.17), (0.85, 0.97))
    b.box("tyre", (-0.70, -0.40), (-0.18, 0.18), (0.95, 1.0))
    return b


@cache
def bodies(kind: Kind) -> tuple[Body, ...]:
    """The shapes of one kind; a vehicle keeps to one of them."""
    return tuple(builder.done() for builder in _builders(kind))


def _builders(kind: Kind) -> tuple[_Builder, ...]:
    shapes: dict[Kind, tuple[_Builder, ...]] = {
        "car": (
            _saloon(-0.26, (-0.43, -0.72), -0.88),
            _saloon(-0.24, (-0.40, -0.88), -0.985, belt=0.60),
            _saloon(-0.22, (-0.37, -0.93), -0.995, belt=0.57),
        ),
        "van": (_van("van"),),
        "bus": (_bus(),),
        "truck": (_truck("truck"),),
        "motorcycle": (_two_wheeler("motorcycle"),),
        "bicycle": (_two_wheeler("bicycle"),),
        "ambulance": (_van("ambulance"),),
        "fire-engine": (_truck("fire-engine"),),
        "police": (_police(),),
        "three-wheeler": (_three_wheeler(),),
        "person": (_person(0.0), _person(0.3)),
    }
    return shapes[kind]
