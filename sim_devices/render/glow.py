"""Light that spills: headlamps, tail lamps and beacons, their halos and their mirror on a wet road."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from sim_devices.render.arrays import Array, Image
from sim_devices.render.beacons import SPILLED, RoadsideLamp, blinks
from sim_devices.render.camera import Camera
from sim_devices.render.light import transmission
from sim_devices.render.painter import Painted
from sim_devices.render.vehicle import UNLIT_KINDS, RoadVehicle, beacon_levels
from sim_devices.render.weather import Weather

SHRINK = 4
# Reach in metres, half width at its end in vehicle widths, and strength of the lit stretch of road, outer part first.
BEAMS = ((16.0, 1.5, 16.0), (9.0, 1.0, 34.0))
_HEAD = np.array([190.0, 225.0, 235.0])
_TAIL = np.array([24.0, 20.0, 165.0])

# Rows of one vehicle's points: two lamps, the same below the road (their mirror), two beams of four, two beacons and
# their mirrors, two indicators and theirs.
_BEAMS, _BEACONS, _INDICATORS = (slice(4, 8), slice(8, 12)), ((12, 14), (13, 15)), ((16, 18), (17, 19))


class Glow:
    """Collects light at a quarter of the size, far to near so that a near vehicle hides it, blurs it and adds it."""

    def __init__(self, camera: Camera, weather: Weather) -> None:
        self.camera = camera
        self.weather = weather
        self._strength = 1.0 if weather.night else 0.35 if weather.lamps else 0.0

    def add(
        self, frame: Image, painted: Sequence[Painted], t_s: float, offset: Array, lamps: Sequence[RoadsideLamp] = ()
    ) -> None:
        standing = self._standing(lamps, t_s, offset)
        if not standing and not any(self._strength or _blinking(one.vehicle) for one in painted):
            return
        towards = [self._towards(one.vehicle) for one in painted]
        points = np.array([_points(one.vehicle, t) for one, t in zip(painted, towards, strict=True)]).reshape(-1, 20, 3)
        pixels, depth = self.camera.project(points)
        pixels = np.clip((pixels + offset) / SHRINK, -4000, 4000).round().astype(np.int32)
        through = transmission(self.weather, depth)
        radius = self.camera.focal_px / np.maximum(depth, 1.0) / SHRINK
        buffer = np.zeros((frame.shape[0] // SHRINK, frame.shape[1] // SHRINK, 3), np.uint8)
        for i, one in enumerate(painted):
            while standing and standing[-1][0] > one.depth_m:
                self._dot(buffer, *standing.pop()[1])
            cv2.fillConvexPoly(buffer, np.round(one.outline / SHRINK).astype(np.int32), (0, 0, 0))
            if self._strength and one.vehicle.kind not in UNLIT_KINDS:
                self._beam(buffer, pixels[i], depth[i], through[i])
                colour, size = (_HEAD, 0.36) if towards[i] else (_TAIL, 0.24)
                colour = colour * (0.35 + 0.65 * self._strength)
                if not towards[i] and one.vehicle.lights.tail_hz and not blinks(one.vehicle.lights.tail_hz, t_s):
                    colour = colour * 0.2
                for lamp, mirror in zip(range(2), range(2, 4), strict=True):
                    level = (colour * through[i, lamp]).tolist()
                    self._dot(buffer, pixels[i, lamp], pixels[i, mirror], level, size * radius[i, lamp])
            if _blinking(one.vehicle):
                self._blinkers(buffer, one.vehicle, t_s, pixels[i], through[i], radius[i])
        for _, dot in reversed(standing):
            self._dot(buffer, *dot)
        soft = cv2.GaussianBlur(buffer, (0, 0), 1.5)
        cv2.add(frame, cv2.resize(soft, (frame.shape[1], frame.shape[0])), dst=frame)

    def _blinkers(  # noqa: PLR0917
        self, buffer: Image, one: RoadVehicle, t_s: float, pixels: Array, through: Array, radius: Array
    ) -> None:
        """Beacons and indicators of one vehicle."""
        if one.flashing:
            sides = zip(_BEACONS, one.lights.colours, beacon_levels(one, t_s), strict=True)
            for (at, mirror), colour, lit in sides:
                if lit > 0:
                    spilled = np.array(SPILLED[colour]) * (0.55 + 0.45 * self._strength) * lit * one.lights.strength
                    size = (0.75 + 0.4 * self._strength) * radius[at]
                    self._dot(buffer, pixels[at], pixels[mirror], (spilled * through[at]).tolist(), size)
        wanted = {"off": (), "left": (0,), "right": (1,), "both": (0, 1)}[one.lights.indicator]
        if wanted and blinks(one.lights.indicator_hz, t_s, one.lights.phase):
            for at, mirror in (_INDICATORS[side] for side in wanted):
                level = (np.array(SPILLED["amber"]) * (0.5 + 0.4 * self._strength) * through[at]).tolist()
                self._dot(buffer, pixels[at], pixels[mirror], level, 0.14 * radius[at])

    def _standing(
        self, lamps: Sequence[RoadsideLamp], t_s: float, offset: Array
    ) -> list[tuple[float, tuple[Array, Array, list[float], float]]]:
        """Depth and dot of each lit lamp beside the road, the farthest last."""
        found = []
        for lamp in lamps:
            if lamp.lit(t_s):
                places = np.array([(lamp.x_m, lamp.y_m, lamp.up_m), (lamp.x_m, lamp.y_m, -lamp.up_m)])
                pixels, depth = self.camera.project(places)
                if depth[0] > 1.5:
                    at, mirror = np.clip((pixels + offset) / SHRINK, -4000, 4000).round().astype(np.int32)
                    through = float(transmission(self.weather, depth)[0])
                    level = [c * (0.55 + 0.45 * self._strength) * through for c in SPILLED[lamp.colour]]
                    radius = 2.5 * lamp.radius_m * self.camera.focal_px / float(depth[0]) / SHRINK
                    found.append((float(depth[0]), (at, mirror, level, radius)))
        return sorted(found, key=lambda one: one[0])

    def _towards(self, one: RoadVehicle) -> bool:
        dx, dy = one.direction
        return dx * (one.x_m - self.camera.x_m) + dy * (one.y_m - self.camera.y_m) < 0

    def _beam(self, buffer: Image, pixels: Array, depth: Array, through: Array) -> None:
        for rows, (_, _, strength) in zip(_BEAMS, BEAMS, strict=True):
            if depth[rows].min() > 2.0:
                level = strength * self._strength * float(through[rows].min())
                cv2.fillConvexPoly(buffer, pixels[rows], (level * 0.8, level, level))

    def _dot(self, buffer: Image, at: Array, mirror: Array, level: list[float], radius: float) -> None:
        """Its light is added to what is there: an indicator takes nothing from the head lamp beside it."""
        size = max(1, round(radius + 0.3))
        low = np.maximum(0, np.minimum(at, mirror) - 3 * size - 1)
        high = np.maximum(0, np.maximum(at, mirror) + 3 * size + 2)
        there = buffer[low[1] : high[1], low[0] : high[0]]
        if not there.size:
            return
        own = np.zeros_like(there)
        self._paint(own, at - low, mirror - low, level, size)
        cv2.add(there, own, dst=there)

    def _paint(self, buffer: Image, at: Array, mirror: Array, level: list[float], size: int) -> None:
        centre = (int(at[0]), int(at[1]))
        if self.weather.rain and mirror[1] > at[1]:
            below = (int(mirror[0]), int(mirror[1]) + 2 * size)
            cv2.line(buffer, (centre[0], centre[1] + size), below, [c * 0.3 for c in level], size)
        cv2.circle(buffer, centre, size, level, -1)


def _blinking(one: RoadVehicle) -> bool:
    return one.flashing or one.lights.indicator != "off"


def _points(one: RoadVehicle, towards: bool) -> list[tuple[float, float, float]]:
    dx, dy = one.direction

    def at(forward: float, left: float, up: float) -> tuple[float, float, float]:
        return one.x_m + forward * dx - left * dy, one.y_m + forward * dy + left * dx, up

    half = 0.0 if one.kind == "motorcycle" else one.width_m * 0.36
    height = {"truck": 0.9, "fire-engine": 0.9, "bus": 0.85}.get(one.kind, 0.65)
    forward, up = (0.0, height) if towards else (-one.length_m, height + 0.2)
    points = [at(forward, half, up), at(forward, -half, up), at(forward, half, -up), at(forward, -half, -up)]
    for reach, spread, _ in BEAMS:
        near, far = one.width_m * 0.4, one.width_m * spread
        points += [at(0.2, near, 0), at(0.2, -near, 0), at(reach, -far, 0), at(reach, far, 0)]
    back = {"ambulance": 0.33, "fire-engine": 0.11}.get(one.kind, 0.57)
    for z in (one.height_m, -one.height_m):
        points += [at(-one.length_m * back, one.width_m * side, z) for side in (0.18, -0.18)]
    for z in (up, -up):
        points += [at(forward, one.width_m * side, z) for side in (0.46, -0.46)]
    return points
