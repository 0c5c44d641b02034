"""A pinhole camera on a pole.

Road frame, in metres, shared by everything in this package: x to the right in the picture, 0 at the kerb of the
approach (the driver's right); y upstream, 0 at the stop line; z up. Traffic of the approach drives towards -y and so
towards the camera, which stands beyond the stop line and looks upstream.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import atan2, cos, sin, tan

import numpy as np

from sim_devices.render.arrays import Array
from sim_devices.render.road import Road

Range = tuple[float, float]

# Ranges from which `mount` draws: a mast at a junction, with a lens that frames the rectangle.
HEIGHT_M = (7.0, 9.5)
SETBACK_M = (11.0, 15.0)
NEAR_MARGIN = (0.06, 0.13)
FAR_MARGIN = (0.15, 0.24)
SIDE_MARGIN = 0.03
ROLL_RAD = 0.012


@dataclass(frozen=True)
class Camera:
    """pitch_rad: below the horizon. yaw_rad: to the right of upstream. roll_rad: clockwise."""

    width_px: int
    height_px: int
    focal_px: float
    x_m: float
    y_m: float
    height_m: float
    pitch_rad: float
    yaw_rad: float = 0.0
    roll_rad: float = 0.0

    @cached_property
    def position(self) -> Array:
        return np.array([self.x_m, self.y_m, self.height_m])

    @cached_property
    def axes(self) -> Array:
        """3 x 3: the camera's right, down and forward directions in the road frame, one a row."""
        cp, sp, cy, sy = cos(self.pitch_rad), sin(self.pitch_rad), cos(self.yaw_rad), sin(self.yaw_rad)
        forward = np.array([sy * cp, cy * cp, -sp])
        right = np.array([cy, -sy, 0.0])
        down = np.cross(forward, right)
        cr, sr = cos(self.roll_rad), sin(self.roll_rad)
        return np.stack([cr * right + sr * down, cr * down - sr * right, forward])

    def project(self, points: Array) -> tuple[Array, Array]:
        """Points (..., 3) in metres to pixels (..., 2) and depth (...) in metres along the view, negative behind it."""
        seen = (points - self.position) @ self.axes.T
        depth = seen[..., 2]
        scale = self.focal_px / np.where(np.abs(depth) < 1e-6, 1e-6, depth)
        centre = np.array([self.width_px / 2, self.height_px / 2])
        return seen[..., :2] * scale[..., None] + centre, depth

    def rays(self, pixels: Array) -> Array:
        """Pixels (..., 2) to directions (..., 3) in the road frame, of depth 1."""
        u = (pixels[..., 0] - self.width_px / 2) / self.focal_px
        v = (pixels[..., 1] - self.height_px / 2) / self.focal_px
        return np.stack([u, v, np.ones_like(u)], axis=-1) @ self.axes.astype(u.dtype)

    def ground(self, pixels: Array) -> Array:
        """Pixels (..., 2) below the horizon to x and y (..., 2) on the road."""
        rays = self.rays(pixels)
        return self.position[:2] - rays[..., :2] * (self.height_m / rays[..., 2])[..., None]

    def corners(self, road: Road) -> Array:
        """Pixels (4, 2) of the road's rectangle: near-left, near-right, far-right, far-left."""
        width, length = road.width_m, road.visible_length_m
        ground = np.array([[0, 0, 0], [width, 0, 0], [width, length, 0], [0, length, 0]], dtype=float)
        return self.project(ground)[0]


def mount(
    road: Road,
    seed: int,
    width_px: int = 640,
    height_px: int = 360,
    *,
    height_m: Range = HEIGHT_M,
    setback_m: Range = SETBACK_M,
) -> Camera:
    """A camera that has the road's whole rectangle in view; height, place, tilt and lens follow from the seed."""
    random = np.random.default_rng((seed, 0xCA))
    height = random.uniform(*height_m)
    setback = random.uniform(*setback_m)
    x = road.width_m * random.uniform(0.35, 1.05)
    near_margin, far_margin = random.uniform(*NEAR_MARGIN), random.uniform(*FAR_MARGIN)
    roll = random.uniform(-ROLL_RAD, ROLL_RAD)
    pitch = _pitch(atan2(height, setback), atan2(height, setback + road.visible_length_m), near_margin, far_margin)
    focal = (0.5 - near_margin) * height_px / tan(atan2(height, setback) - pitch)
    yaw = atan2(road.width_m * 0.62 - x, setback + 0.4 * road.visible_length_m)
    while True:
        camera = Camera(width_px, height_px, focal, x, -setback, height, pitch, yaw, roll)
        corners = camera.corners(road) / (width_px, height_px)
        if corners.min() > SIDE_MARGIN and corners.max() < 1 - SIDE_MARGIN:
            return camera
        focal *= 0.98


def _pitch(near_rad: float, far_rad: float, near_margin: float, far_margin: float) -> float:
    """The tilt that puts both ends of the rectangle at their margins, by bisection."""
    wanted = (0.5 - near_margin) / (0.5 - far_margin)
    low, high = far_rad, near_rad
    for _ in range(50):
        middle = (low + high) / 2
        if tan(near_rad - middle) / tan(middle - far_rad + 1e-9) > wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2
