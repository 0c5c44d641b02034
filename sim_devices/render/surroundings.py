"""What stands beside the road: houses, trees and street lamps. Painted far to near onto the canvas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from sim_devices.render.arrays import Array
from sim_devices.render.light import LAMP_FIRST_M, LAMP_HEIGHT_M, LAMP_SPACING_M, LAMP_X_M, street_light
from sim_devices.render.road import Road
from sim_devices.render.weather import Weather

if TYPE_CHECKING:
    from sim_devices.render.background import Canvas


FAR_M = 260.0
HOUSES_FROM_ROAD_M = 9.5
TEXEL_M = 0.1
DEPTH_M = 12.0

Colour = tuple[int, int, int]
_WALLS = ((96, 112, 140), (150, 165, 178), (120, 128, 134), (88, 98, 150), (172, 182, 188), (110, 130, 158))
LEAVES = 80
_LEAVES, _SNOWED = np.array([38.0, 84.0, 62.0]), np.array([190.0, 195.0, 190.0])


@dataclass(frozen=True)
class _House:
    """begins_m and length_m along the street."""

    begins_m: float
    length_m: float
    height_m: float
    wall: Colour


def draw_surroundings(canvas: Canvas, road: Road, weather: Weather, random: np.random.Generator) -> None:
    total = road.width_m + sum(road.opposite_widths_m)
    for front_m in (-HOUSES_FROM_ROAD_M, total + HOUSES_FROM_ROAD_M):
        for house in reversed(_row(random)):
            _house(canvas, weather, random, front_m, house)
    _end(canvas, weather, random, total)
    for y in np.arange(FAR_M, 12.0, -13.0):
        for x in (-5.2, total + 5.2):
            if random.random() < 0.75:
                _tree(canvas, weather, random, x + random.uniform(-0.6, 0.6), y + random.uniform(-3, 3))
    lamps = np.arange(LAMP_FIRST_M, FAR_M, LAMP_SPACING_M)
    for y in lamps[::-1]:
        _lamp(canvas, weather, float(y))


def _row(random: np.random.Generator) -> list[_House]:
    """Houses along one side, near to far."""
    houses, y = [], random.uniform(3.0, 10.0)
    while y < FAR_M:
        house = _House(y, random.uniform(12, 26), random.uniform(7, 19), _WALLS[random.integers(len(_WALLS))])
        houses.append(house)
        y += house.length_m + random.choice([0.0, 0.0, 5.0, 9.0])
    return houses


def _house(canvas: Canvas, weather: Weather, random: np.random.Generator, front_m: float, house: _House) -> None:
    """front_m: x of the wall along the street, negative on the left."""
    y = (house.begins_m, house.begins_m + house.length_m)
    if front_m < 0:
        walls = (((front_m - DEPTH_M, y[0]), (front_m, y[0]), 0.72), ((front_m, y[0]), (front_m, y[1]), 0.95))
    else:
        walls = (((front_m, y[0]), (front_m + DEPTH_M, y[0]), 0.85), ((front_m, y[1]), (front_m, y[0]), 0.62))
    for a, b, brightness in walls:
        size = (float(np.hypot(b[0] - a[0], b[1] - a[1])), house.height_m)
        _wall(canvas, a, b, house.height_m, _facade(weather, random, size, house.wall, brightness))


def _end(canvas: Canvas, weather: Weather, random: np.random.Generator, total: float) -> None:
    """The house at the far end of the street."""
    height = random.uniform(10, 16)
    facade = _facade(weather, random, (total + 30, height), _WALLS[random.integers(len(_WALLS))], 0.8)
    if canvas.camera.pitch_rad < 0.35:
        _wall(canvas, (-15.0, FAR_M + 15), (total + 15, FAR_M + 15), height, facade)


def _facade(
    weather: Weather, random: np.random.Generator, size_m: tuple[float, float], wall: Colour, brightness: float
) -> Array:
    """A wall's texture (h, w, 3), top first: floors of windows, a shop front below; lit windows at night."""
    w, h = max(8, int(size_m[0] / TEXEL_M)), max(8, int(size_m[1] / TEXEL_M))
    level = brightness * (weather.ambient + 0.75 * weather.sun) + (0.10 if weather.night else 0.0)
    image = np.empty((h, w, 3), np.float32)
    image[:] = np.array(wall) * level
    image += random.normal(0, 3 * level, (h, w, 1)).astype(np.float32)
    glass = np.array([112, 100, 88]) * level * 0.75
    for top in range(10, h - 45, 32):
        for left in range(10, w - 16, 26):
            lit = weather.night and random.random() < 0.35
            pane = np.array([95, 165, 215]) * random.uniform(0.5, 1.0) if lit else glass * random.uniform(0.7, 1.35)
            image[top - 1 : top + 18, left - 1 : left + 13] = np.array([205, 208, 210]) * level
            image[top : top + 17, left : left + 12] = pane
            image[top + 8, left : left + 12] = np.array([190, 190, 190]) * level
    shop = np.array([70, 66, 60]) * level if not weather.night else np.array([70, 120, 150]) * random.uniform(0.3, 0.9)
    image[h - 28 : h - 5, 6 : w - 6] = shop
    image[h - 34 : h - 28, 2 : w - 2] = random.uniform(0.4, 1.0, 3) * 170 * level
    return image


def _wall(canvas: Canvas, a: tuple[float, float], b: tuple[float, float], height: float, facade: Array) -> None:
    """Hang `facade` on the wall that runs from a (its left end) to b."""
    camera = canvas.camera
    corners = np.array([[*a, height], [*b, height], [*b, 0.0], [*a, 0.0]])
    pixels, depth = camera.project(corners)
    if depth.min() < 2.0:
        return
    low = np.maximum(np.floor(pixels.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(pixels.max(axis=0)).astype(int), (camera.width_px, camera.height_px))
    if np.any(high - low < 1):
        return
    h, w = facade.shape[:2]
    shrink = max(1, int(depth.min() * 1.2 / camera.focal_px / TEXEL_M))
    if shrink > 1:
        facade = cv2.resize(facade, (max(2, w // shrink), max(2, h // shrink)), interpolation=cv2.INTER_AREA)
        h, w = facade.shape[:2]
    source = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, (pixels - low).astype(np.float32))
    size = tuple(int(n) for n in high - low)
    hung = cv2.warpPerspective(facade, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillConvexPoly(mask, np.round((pixels - low) * 16).astype(np.int32), 1, shift=4)
    area = (slice(low[1], high[1]), slice(low[0], high[0]))
    along = np.array([b[0] - a[0], b[1] - a[1], 0.0])
    normal = np.array([along[1], -along[0], 0.0])
    facing = canvas.rays[area] @ normal
    distance = (corners[0] - camera.position) @ normal / np.where(np.abs(facing) < 1e-9, 1e-9, facing)
    inside = mask > 0
    canvas.colour[area][inside] = hung[inside]
    canvas.depth[area][inside] = np.clip(distance, 1.0, 1e4)[inside]


def _tree(canvas: Canvas, weather: Weather, random: np.random.Generator, x: float, y: float) -> None:
    height = random.uniform(5.0, 8.5)
    leaves = _LEAVES + (_SNOWED - _LEAVES) * weather.snow
    level = weather.ambient + 0.55 * weather.sun
    if weather.night:
        level += 0.3 * float(street_light(np.array(x), np.array(y)))
    ends, depth = canvas.camera.project(np.array([[x, y, 0.0], [x, y, height * 0.55]]))
    if depth.min() < 4.0:
        return
    scale = canvas.camera.focal_px / depth[0]
    _stroke(canvas, ends, depth[0], np.array([48, 60, 72]) * level, 0.28 * scale)
    radius = height * 0.36
    share = np.sort(random.uniform(0, 1, LEAVES))
    angle, out = random.uniform(0, 2 * np.pi, LEAVES), radius * np.sqrt(random.uniform(0, 1, LEAVES))
    up = out * np.sin(angle)
    spots = np.stack([x + out * np.cos(angle), np.full(LEAVES, y), height * 0.64 + up], axis=-1)
    pixels, _ = canvas.camera.project(spots)
    light = level * (0.55 + 0.5 * share + 0.35 * up / radius) * random.uniform(0.85, 1.15, LEAVES)
    sizes = radius * random.uniform(0.09, 0.25, LEAVES) * scale
    for i in range(LEAVES):
        _disc(canvas, pixels[i], depth[0], leaves * light[i], sizes[i])


def _lamp(canvas: Canvas, weather: Weather, y: float) -> None:
    points = np.array(
        [[LAMP_X_M, y, 0.0], [LAMP_X_M, y, LAMP_HEIGHT_M], [LAMP_X_M + 2.0, y, LAMP_HEIGHT_M + 0.3]], dtype=float
    )
    pixels, depth = canvas.camera.project(points)
    if depth.min() < 3.0:
        return
    scale = canvas.camera.focal_px / depth[0]
    metal = np.array([92, 92, 90]) * (weather.ambient + 0.5 * weather.sun + (0.1 if weather.night else 0))
    _stroke(canvas, pixels[:2], depth[0], metal, 0.14 * scale)
    _stroke(canvas, pixels[1:], depth[0], metal, 0.10 * scale)
    head = np.array([215, 240, 255]) if weather.night else metal * 1.3
    _disc(canvas, pixels[2], depth[0], head, 0.22 * scale)


def _stroke(canvas: Canvas, ends: Array, depth: float, colour: Array, thickness: float) -> None:
    a, b = [(int(p[0]), int(p[1])) for p in np.clip(ends, -4000, 4000)]
    width = max(1, round(thickness))
    cv2.line(canvas.colour, a, b, [float(c) for c in colour], width, cv2.LINE_AA)
    cv2.line(canvas.depth, a, b, float(depth), width)


def _disc(canvas: Canvas, centre: Array, depth: float, colour: Array, radius: float) -> None:
    at = (int(np.clip(centre[0], -4000, 4000)), int(np.clip(centre[1], -4000, 4000)))
    size = max(1, round(radius))
    cv2.circle(canvas.colour, at, size, [float(c) for c in colour], -1, cv2.LINE_AA)
    cv2.circle(canvas.depth, at, size, float(depth), -1)
