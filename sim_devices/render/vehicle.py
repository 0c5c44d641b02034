"""A vehicle as the renderer sees it."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, sin
from typing import Literal, get_args
from zlib import crc32

from sim_devices.render.beacons import NO_LIGHTS, Lights, levels

Kind = Literal[
    "car", "van", "bus", "truck", "motorcycle", "bicycle", "ambulance", "fire-engine", "police", "three-wheeler",
    "person",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)

# Length, width and height in metres.
SIZES: dict[Kind, tuple[float, float, float]] = {
    "car": (4.5, 1.8, 1.48),
    "van": (5.6, 2.0, 2.3),
    "bus": (12.0, 2.55, 3.1),
    "truck": (8.8, 2.5, 3.5),
    "motorcycle": (2.2, 0.8, 1.6),
    "bicycle": (1.8, 0.6, 1.75),
    "ambulance": (6.2, 2.1, 2.7),
    "fire-engine": (8.2, 2.5, 3.2),
    "police": (4.7, 1.85, 1.5),
    "three-wheeler": (2.7, 1.35, 1.75),
    "person": (0.4, 0.56, 1.72),
}
EMERGENCY_KINDS: frozenset[Kind] = frozenset({"ambulance", "fire-engine", "police"})
# What has no lamps.
UNLIT_KINDS: frozenset[Kind] = frozenset({"bicycle", "person"})


@dataclass(frozen=True)
class RoadVehicle:
    """x_m and y_m: middle of the front bumper, in the road frame of sim_devices.render.camera. heading_rad: 0 drives
    towards the stop line (-y), positive turns to the driver's left, pi drives away. beacons: flashing as lights say."""

    id: str
    kind: Kind
    x_m: float
    y_m: float
    speed_mps: float = 0.0
    heading_rad: float = 0.0
    length_m: float = 4.5
    width_m: float = 1.8
    height_m: float = 1.48
    beacons: bool = False
    lights: Lights = NO_LIGHTS

    @property
    def flashing(self) -> bool:
        """Whether beacons flash on it: `beacons`, on a vehicle that has some."""
        return self.beacons and (self.kind in EMERGENCY_KINDS or self.lights.works)

    @property
    def direction(self) -> tuple[float, float]:
        return sin(self.heading_rad), -cos(self.heading_rad)

    def footprint(self) -> list[tuple[float, float]]:
        """Corners on the road: front-left, front-right, rear-right, rear-left, as the driver sees them."""
        dx, dy = self.direction
        half = self.width_m / 2
        left = (-dy * half, dx * half)
        rear = (self.x_m - dx * self.length_m, self.y_m - dy * self.length_m)
        return [
            (self.x_m + left[0], self.y_m + left[1]),
            (self.x_m - left[0], self.y_m - left[1]),
            (rear[0] - left[0], rear[1] - left[1]),
            (rear[0] + left[0], rear[1] + left[1]),
        ]


def vehicle_of_kind(identity: str, kind: Kind, x_m: float, y_m: float, **more: float | bool | Lights) -> RoadVehicle:
    """A vehicle of its kind's usual size; `more` are further fields."""
    length, width, height = SIZES[kind]
    return RoadVehicle(identity, kind, x_m, y_m, length_m=length, width_m=width, height_m=height, **more)  # type: ignore[arg-type]


def fate(identity: str, purpose: str) -> float:
    """A number in 0..1 that belongs to this vehicle for ever: its colour, its beacons' frequency."""
    return crc32(f"{identity}/{purpose}".encode()) / 0xFFFFFFFF


def beacon_hz(identity: str) -> float:
    """How often this vehicle's beacons flash: 1 to 4 times a second."""
    return 1.0 + 3.0 * fate(identity, "beacon")


def beacon_lit(identity: str, t_s: float) -> bool:
    """Whether the left beacon is lit at t_s; the right one is lit when the left is not."""
    return (t_s * beacon_hz(identity)) % 1.0 < 0.5


def beacon_levels(vehicle: RoadVehicle, t_s: float) -> tuple[float, float]:
    """How bright its left and its right beacon are at t_s, 0..1."""
    return levels(vehicle.lights, vehicle.lights.rate_hz or beacon_hz(vehicle.id), t_s)
