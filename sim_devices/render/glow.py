"""Light that spills: headlamps, tail lamps and beacons, their halos and their mirror on a wet road."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from sim_devices.render.arrays import Array, Image
from sim_devices.render.camera import Camera
from sim_devices.render.light import transmission
from sim_devices.render.painter import Painted
from sim_devices.render.vehicle import EMERGENCY_KINDS, UNLIT_KINDS, RoadVehicle, beacon_lit
from sim_devices.render.weather import Weather

SHRINK = 4
# Reach in metres, half width at its end in vehicle widths, and strength of the lit stretch of road, outer part first.
BEAMS = ((16.0, 1.5, 16.0), (9.0, 1.0, 34.0))
_HEAD = np.array([190.0, 225.0, 235.0])
_TAIL = np.array([24.0, 20.0, 165.0])
_BEACON = np.array([255.0, 105.0, 25.0])

# Rows of one vehicle's points: two lamps, the same below the road (their mirror), two beams of four, the beacon.
_BEAMS, _TOP = (slice(4, 8), slice(8, 12)), 12


class Glow:
    """Collects light at a quarter of the size, far to near so that a near vehicle hides it, blurs it and adds it."""

    def __init__(self, camera: Camera, weather: Weather) -> None:
        self.camera = camera
        self.weather = weather
        self._strength = 1.0 if weather.night else 0.35 if weather.lamps else 0.0

    def add(self, frame: Image, painted: Sequence[Painted], t_s: float, offset: Array) -> None:
        if not any(self._strength or _flashing(one.vehicle) for one in painted):
            return
        towards = [self._towards(one.vehicle) for one in painted]
        points = np.array([_points(one.vehicle, t, t_s) for one, t in zip(painted, towards, strict=True)])
        pixels, depth = self.camera.project(points)
        pixels = np.clip((pixels + offset) / SHRINK, -4000, 4000).round().astype(np.int32)
        through = transmission(self.weather, depth)
        radius = self.camera.focal_px / np.maximum(depth, 1.0) / SHRINK
        buffer = np.zeros((frame.shape[0] // SHRINK, frame.shape[1] // SHRINK, 3), np.uint8)
        for i, one in enumerate(painted):
            cv2.fillConvexPoly(buffer, np.round(one.outline / SHRINK).astype(np.int32), (0, 0, 0))
            if self._strength and one.vehicle.kind not in UNLIT_KINDS:
                self._beam(buffer, pixels[i], depth[i], through[i])
                colour, size = (_HEAD, 0.36) if towards[i] else (_TAIL, 0.24)
                colour = colour * (0.35 + 0.65 * self._strength)
                for lamp, mirror in zip(range(2), range(2, 4), strict=True):
                    level = (colour * through[i, lamp]).tolist()
                    self._dot(buffer, pixels[i, lamp], pixels[i, mirror], level, size * radius[i, lamp])
            if _flashing(one.vehicle):
                level = (_BEACON * (0.55 + 0.45 * self._strength) * through[i, _TOP]).tolist()
                at = pixels[i, _TOP]
                self._dot(buffer, at, at, level, (0.75 + 0.4 * self._strength) * radius[i, _TOP])
        soft = cv2.GaussianBlur(buffer, (0, 0), 1.5)
        cv2.add(frame, cv2.resize(soft, (frame.shape[1], frame.shape[0])), dst=frame)

    def _towards(self, one: RoadVehicle) -> bool:
        dx, dy = one.direction
        return dx * (one.x_m - self.camera.x_m) + dy * (one.y_m - self.camera.y_m) < 0

    def _beam(self, buffer: Image, pixels: Array, depth: Array, through: Array) -> None:
        for rows, (_, _, strength) in zip(_BEAMS, BEAMS, strict=True):
            if depth[rows].min() > 2.0:
                level = strength * self._strength * float(through[rows].min())
                cv2.fillConvexPoly(buffer, pixels[rows], (level * 0.8, level, level))

    def _dot(self, buffer: Image, at: Array, mirror: Array, level: list[float], radius: float) -> None:
        size = max(1, round(radius + 0.3))
        centre = (int(at[0]), int(at[1]))
        if self.weather.rain and mirror[1] > at[1]:
            below = (int(mirror[0]), int(mirror[1]) + 2 * size)
            cv2.line(buffer, (centre[0], centre[1] + size), below, [c * 0.3 for c in level], size)
        cv2.circle(buffer, centre, size, level, -1)


def _flashing(one: RoadVehicle) -> bool:
    return one.beacons and one.kind in EMERGENCY_KINDS


def _points(one: RoadVehicle, towards: bool, t_s: float) -> list[tuple[float, float, float]]:
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
    side = 0.18 if beacon_lit(one.id, t_s) else -0.18
    return [*points, at(-one.length_m * back, one.width_m * side, one.height_m)]
