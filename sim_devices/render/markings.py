"""Paint on the road: lane lines, stop line, zebra crossing and arrows."""

from __future__ import annotations

import numpy as np

from sim_devices.render.arrays import Array
from sim_devices.render.road import Road

WHITE = np.array([222.0, 226.0, 226.0], np.float32)
DASH_M, DASH_PERIOD_M = 3.0, 9.0
SOLID_BEFORE_STOP_M = 24.0
STOP_LINE_M = (-0.5, 0.0)
ZEBRA_M = (-4.6, -1.8)
ARROW_AT_M = (9.0, 34.0)

# Arrows as convex pieces, in metres: x to the right of the lane's middle in the picture, y upstream of its place.
# Traffic comes towards the camera, so that a driver's left turn points to the right of the picture.
_SHAFT = ((-0.09, 0.0), (0.09, 0.0), (0.09, 2.4), (-0.09, 2.4))
_HEAD = ((-0.36, 0.0), (0.36, 0.0), (0.0, -1.5))
_ARM = ((0.0, 1.1), (0.55, 0.6), (0.55, 0.95), (0.0, 1.5))
_POINT = ((0.55, 0.2), (1.0, 0.62), (0.55, 1.3))
PIECES: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    "s": (_SHAFT, _HEAD),
    "l": (_SHAFT, _ARM, _POINT),
    "r": (_SHAFT, tuple((-x, y) for x, y in _ARM), tuple((-x, y) for x, y in _POINT)),
}


def painted(road: Road, x: Array, y: Array, across_px: Array, along_px: Array) -> tuple[Array, Array]:
    """Colour and cover (0..1) of the paint at ground points; across_px and along_px: metres in one pixel there."""
    cover = np.zeros_like(x)
    if not road.lane_marks:
        return WHITE, cover
    total = road.width_m + sum(road.opposite_widths_m)
    behind_stop = _band(y, 0.0, 400.0, along_px)
    dashed = _dashes(y, along_px)
    solid_near = np.maximum(dashed, _band(y, 0.0, SOLID_BEFORE_STOP_M, along_px))
    for low, _ in road.lane_bounds()[1:]:
        cover = np.maximum(cover, _line(x, low, 0.12, across_px) * solid_near)
    edge = road.width_m
    for width in road.opposite_widths_m[:-1]:
        edge += width
        cover = np.maximum(cover, _line(x, edge, 0.12, across_px) * dashed)
    for middle in (road.width_m - 0.14, road.width_m + 0.14):
        cover = np.maximum(cover, _line(x, middle, 0.12, across_px))
    for side in (0.22, total - 0.22):
        cover = np.maximum(cover, _line(x, side, 0.10, across_px))
    cover = cover * behind_stop
    inside = _band(x, 0.1, road.width_m - 0.1, across_px)
    cover = np.maximum(cover, _band(y, *STOP_LINE_M, along_px) * inside)
    bars = _band(np.mod(x, 1.1), 0.3, 0.8, across_px)
    crossing = _band(y, *ZEBRA_M, along_px) * _band(x, 0.2, total - 0.2, across_px)
    cover = np.maximum(cover, bars * crossing)
    for lane, turns in enumerate(road.arrows[: len(road.lane_widths_m)]):
        for at in ARROW_AT_M:
            for turn in turns:
                near = (np.abs(x - road.lane_centre_m(lane)) < 1.5) & (np.abs(y - at) < 4.0)
                for piece in PIECES[turn]:
                    corners = [(road.lane_centre_m(lane) + dx, at + dy) for dx, dy in piece]
                    drawn = _convex(x[near], y[near], corners, across_px[near], along_px[near])
                    cover[near] = np.maximum(cover[near], drawn)
    return WHITE, cover


def _band(value: Array, low: float, high: float, pixel: Array) -> Array:
    """How much of a pixel around `value` lies between low and high."""
    upper = np.minimum(high, value + pixel / 2)
    lower = np.maximum(low, value - pixel / 2)
    share: Array = np.clip((upper - lower) / np.maximum(pixel, 1e-6), 0.0, 1.0)
    return share


def _line(x: Array, at: float, width: float, pixel: Array) -> Array:
    return _band(x, at - width / 2, at + width / 2, pixel)


def _dashes(y: Array, pixel: Array) -> Array:
    sharp = _band(np.mod(y, DASH_PERIOD_M), 0.0, DASH_M, pixel)
    blurred = DASH_M / DASH_PERIOD_M
    far = np.clip(pixel / DASH_PERIOD_M, 0.0, 1.0)
    return sharp * (1 - far) + blurred * far


def _convex(x: Array, y: Array, corners: list[tuple[float, float]], across_px: Array, along_px: Array) -> Array:
    """Soft cover of a convex polygon: one at half a pixel inside its nearest edge, zero at half a pixel outside."""
    middle = np.mean(corners, axis=0)
    cover = np.ones_like(x)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        nx, ny = by - ay, ax - bx
        if nx * (middle[0] - ax) + ny * (middle[1] - ay) < 0:
            nx, ny = -nx, -ny
        distance = nx * (x - ax) + ny * (y - ay)
        pixel = np.abs(nx) * across_px + np.abs(ny) * along_px
        cover = np.minimum(cover, np.clip(distance / np.maximum(pixel, 1e-6) + 0.5, 0.0, 1.0))
    return cover
