"""The empty road: painted once for a scene, at twice the size, and shrunk."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sim_devices.render.arrays import Array, Image
from sim_devices.render.camera import Camera
from sim_devices.render.light import LAMP_STRENGTH, airlight, street_light, transmission
from sim_devices.render.markings import painted
from sim_devices.render.road import Road
from sim_devices.render.snow import COLOUR as SNOW_COLOUR
from sim_devices.render.snow import lying
from sim_devices.render.surroundings import draw_surroundings
from sim_devices.render.weather import Weather

SUPERSAMPLING = 2
SKY_DEPTH_M = 400.0
PAVEMENT_M = 3.0
JUNCTION_BEGINS_M = -5.5

_SKY = {
    "day": ((225, 190, 150), (238, 225, 210)),
    "overcast": ((200, 196, 192), (215, 212, 208)),
    "night": ((38, 22, 16), (48, 34, 28)),
}


@dataclass
class Canvas:
    """What the static parts are painted on. colour: (h, w, 3), 0..255 before fog. depth: (h, w) metres along the view.
    rays: (h, w, 3) of depth 1."""

    camera: Camera
    colour: Array
    depth: Array
    rays: Array


def draw_background(camera: Camera, road: Road, weather: Weather, seed: int) -> Image:
    """The empty road as a picture (h, w, 3)."""
    random = np.random.default_rng((seed, 0xB6))
    large = _enlarged(camera)
    canvas = _blank(large, weather)
    _ground(canvas, road, weather, random)
    draw_surroundings(canvas, road, weather, random)
    t = transmission(weather, canvas.depth)[..., None]
    seen = canvas.colour * t + airlight(weather).astype(np.float32) * (1 - t)
    picture = np.clip(seen, 0, 255).astype(np.uint8)
    size = (camera.width_px, camera.height_px)
    shrunk: Image = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return shrunk


def _enlarged(camera: Camera) -> Camera:
    k = SUPERSAMPLING
    return Camera(
        camera.width_px * k, camera.height_px * k, camera.focal_px * k, camera.x_m, camera.y_m, camera.height_m,
        camera.pitch_rad, camera.yaw_rad, camera.roll_rad,
    )  # fmt: skip


def _blank(camera: Camera, weather: Weather) -> Canvas:
    columns, rows = np.arange(camera.width_px, dtype=np.float32), np.arange(camera.height_px, dtype=np.float32)
    u, v = np.meshgrid(columns + 0.5, rows + 0.5)
    rays = camera.rays(np.stack([u, v], axis=-1))
    top, low = _SKY["night" if weather.night else "day" if weather.sun else "overcast"]
    share = np.clip(rays[..., 2] / 0.25, 0, 1)[..., None]
    sky = np.array(low) * (1 - share) + np.array(top) * share
    if weather.rain:
        sky *= 0.8
    return Canvas(camera, sky.astype(np.float32), np.full(u.shape, SKY_DEPTH_M, np.float32), rays)


def _ground(canvas: Canvas, road: Road, weather: Weather, random: np.random.Generator) -> None:
    camera = canvas.camera
    below = canvas.rays[..., 2] < -0.012
    down = np.where(below, canvas.rays[..., 2], -1.0)
    depth = np.minimum(camera.height_m / -down, SKY_DEPTH_M)
    x = camera.x_m + canvas.rays[..., 0] * depth
    y = camera.y_m + canvas.rays[..., 1] * depth
    along_px = depth**2 / (camera.focal_px * camera.height_m)
    fine = _noise(random, x, y, 0.05) * np.exp(-along_px / 0.25)
    medium = _noise(random, x, y, 0.45) * np.exp(-along_px / 2.0)
    broad = _noise(random, x, y, 3.0)
    total = road.width_m + sum(road.opposite_widths_m)
    # -- asphalt, darker where tyres roll, with old repairs
    grey = road.asphalt + 7 * fine + 5 * medium + 5 * broad
    for low, high in road.lane_bounds():
        for track in ((low + high) / 2 - 0.8, (low + high) / 2 + 0.8):
            grey = grey - 6 * np.exp(-(((x - track) / 0.32) ** 2))
    for _ in range(road.repairs):
        x0, y0 = random.uniform(0, total), random.uniform(4, road.visible_length_m * 1.4)
        w, length = random.uniform(0.8, 2.6), random.uniform(1.5, 9.0)
        grey[(np.abs(x - x0) < w / 2) & (np.abs(y - y0) < length / 2)] += random.uniform(-13, 5)
    colour = grey[..., None] * np.array([1.0, 0.99, 0.985], np.float32)
    # -- pavement, kerbs and grass
    outside = np.maximum(-x, x - total)
    joint = ((x % 0.9 < 0.05) | (y % 0.9 < 0.05)) * np.exp(-along_px / 0.05)
    slab = (150 + 5 * fine + 7 * broad - 22 * joint)[..., None] * np.array([0.97, 0.99, 1.0], np.float32)
    grass = np.array([52, 98, 82], np.float32) + (11 * fine + 12 * medium + 9 * broad)[..., None]
    kerb = np.full_like(slab, 172.0)
    built_up = y > JUNCTION_BEGINS_M
    for material, begins in ((kerb, 0.0), (slab, 0.18), (grass, PAVEMENT_M)):
        np.copyto(colour, material, where=((outside > begins) & built_up)[..., None])
    paint, cover = painted(road, x, y, depth / camera.focal_px, along_px)
    wear = np.clip(0.86 + 0.10 * medium + 0.10 * fine, 0.3, 1.0)
    cover = (cover * wear)[..., None]
    colour = colour * (1 - cover) + paint * cover
    if weather.snow:
        white = lying(road, weather.snow, x, np.where(built_up, outside, -1.0), medium)[..., None].astype(np.float32)
        colour = colour * (1 - white) + (SNOW_COLOUR + 4 * fine[..., None]) * white
    colour = _lit(colour, canvas, weather, (x, y), broad + 0.6 * medium)
    canvas.colour[below] = colour[below]
    canvas.depth[below] = depth[below]


def _lit(colour: Array, canvas: Canvas, weather: Weather, ground: tuple[Array, Array], puddles: Array) -> Array:
    level: Array | float = weather.ambient + 0.62 * weather.sun
    if weather.night:
        level = weather.ambient + LAMP_STRENGTH * street_light(*ground)
    lit = colour * np.asarray(level, np.float32)[..., None]
    if weather.rain:
        grazing = np.clip(1 + canvas.rays[..., 2] / np.linalg.norm(canvas.rays, axis=-1), 0, 1) ** 4
        mirror = (grazing * (0.30 + 0.25 * np.clip(puddles, -0.6, 1.6)))[..., None]
        lit = lit * (1 - 0.32 * weather.rain) + airlight(weather).astype(np.float32) * (mirror * weather.rain)
    return lit


def _noise(random: np.random.Generator, x: Array, y: Array, grain_m: float) -> Array:
    """Smooth noise of standard deviation 1 over the ground, one grain every grain_m."""
    size = 256
    tile = random.standard_normal((size, size), np.float32) * 1.5
    return cv2.remap(tile, np.mod(x / grain_m, size - 2), np.mod(y / grain_m, size - 2), cv2.INTER_LINEAR)
