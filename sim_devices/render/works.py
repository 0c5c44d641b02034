"""Barriers of road works and lamps beside the road."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from sim_devices.render.arrays import Array, Image
from sim_devices.render.beacons import DARK, LIT, RoadsideLamp
from sim_devices.render.camera import Camera
from sim_devices.render.light import airlight, transmission
from sim_devices.render.weather import Weather

_ORANGE, _WHITE = np.array([40.0, 120.0, 236.0]), np.array([226.0, 228.0, 228.0])
_BOARD_M, _STRIPES = 1.3, 6


def paint_lamps(  # noqa: PLR0917
    frame: Image, camera: Camera, weather: Weather, lamps: Sequence[RoadsideLamp], t_s: float, offset: Array
) -> None:
    """Boards and lamps, without the light that they spill."""
    light = min(1.0, weather.ambient + weather.sun * 0.5 + (0.2 if weather.night else 0.0))
    for lamp in sorted(lamps, key=lambda one: -one.y_m):
        bounds = lamp.x_m + _BOARD_M * (np.arange(_STRIPES + 1) / _STRIPES - 0.5)
        points = np.array([(x, lamp.y_m, z) for z in (0.35, 0.95) for x in bounds] + [(lamp.x_m, lamp.y_m, lamp.up_m)])
        pixels, depth = camera.project(points)
        if depth.min() < 1.5:
            continue
        through = float(transmission(weather, depth[-1:])[0])
        fixed = ((pixels + offset) * 16).round().astype(np.int32)
        air = airlight(weather) * (1 - through)
        for i in range(_STRIPES if lamp.board else 0):
            corners = fixed[[i, i + 1, i + 2 + _STRIPES, i + 1 + _STRIPES]]
            colour = (_ORANGE if i % 2 else _WHITE) * light * through + air
            cv2.fillConvexPoly(frame, corners, colour.tolist(), cv2.LINE_AA, 4)
        lit = lamp.lit(t_s)
        colour = np.array(LIT[lamp.colour] if lit else DARK[lamp.colour]) * (1.0 if lit else light) * through + air
        radius = max(8, round(16 * lamp.radius_m * camera.focal_px / float(depth[-1])))
        cv2.circle(frame, (int(fixed[-1, 0]), int(fixed[-1, 1])), radius, colour.tolist(), -1, cv2.LINE_AA, 4)
