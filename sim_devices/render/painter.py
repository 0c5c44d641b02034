"""Paint vehicles into a frame, far to near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from sim_devices.render.arrays import Array, Image
from sim_devices.render.beacons import DARK, LIT, blinks
from sim_devices.render.body import CORNERS, MATERIALS, bodies
from sim_devices.render.camera import Camera
from sim_devices.render.light import airlight, shade, sun, transmission
from sim_devices.render.vehicle import UNLIT_KINDS, Kind, RoadVehicle, beacon_levels, fate
from sim_devices.render.weather import Weather

NEAREST_M = 1.5
FARTHEST_M = 180.0
DETAIL_WITHIN_M = 38.0
SHADOW = 0.52
CONTACT_SHADOW = 0.62
_SHIFT = 4
_FIXED = 1 << _SHIFT

# Blue, green, red.
_PAINTS = np.array(
    [
        (222, 224, 224), (236, 238, 238), (40, 38, 36), (58, 54, 52), (172, 172, 168), (140, 140, 136), (112, 70, 36),
        (150, 92, 40), (44, 40, 158), (38, 34, 120), (70, 92, 112), (84, 96, 60), (96, 156, 190),
    ],
    dtype=float,
)  # fmt: skip
_OWN_PAINT: dict[Kind, tuple[float, float, float]] = {
    "bus": (60, 70, 196),
    "ambulance": (225, 238, 240),
    "fire-engine": (36, 32, 190),
    "police": (225, 226, 226),
}
_COLOURS: dict[str, tuple[float, float, float]] = {
    "glass": (72, 62, 52), "tyre": (34, 34, 34), "dark": (44, 43, 42), "head": (196, 202, 204), "tail": (44, 38, 140),
    "plate": (206, 214, 214), "cargo": (204, 206, 204), "stripe": (60, 190, 226), "beacon-left": (140, 60, 24),
    "beacon-right": (140, 60, 24), "skin": (70, 62, 58), "cloth": (86, 70, 52), "sign": (70, 190, 240),
    "chrome": (150, 150, 148), "inside": (84, 78, 70),
}  # fmt: skip
_STRIPES: dict[Kind, tuple[float, float, float]] = {
    "ambulance": (52, 60, 214), "police": (160, 84, 20), "fire-engine": (70, 220, 236), "bus": (214, 220, 222),
}  # fmt: skip
# Auto-rickshaws: body and canopy.
_CABS = (((52, 130, 40), (40, 190, 230)), ((40, 190, 230), (40, 38, 36)), ((36, 36, 36), (40, 190, 230)))
LIT_HEADLAMP = (248.0, 255.0, 255.0)
LIT_TAIL = (70.0, 60.0, 255.0)
DIM_TAIL = (40.0, 32.0, 205.0)
_NUMBER = {name: index for index, name in enumerate(MATERIALS)}


@dataclass(frozen=True)
class Painted:
    """One vehicle in the picture. outline: its convex silhouette in pixels (n, 2). depth_m: of its front."""

    vehicle: RoadVehicle
    outline: Array
    depth_m: float


class Painter:
    """Paints for one camera and weather. `offset` shifts everything by the camera's shake, in pixels."""

    def __init__(self, camera: Camera, weather: Weather) -> None:
        self.camera = camera
        self.weather = weather
        self._position = camera.position
        self._air = airlight(weather)
        self._sun = sun(weather)

    def in_view(self, vehicles: Sequence[RoadVehicle]) -> list[RoadVehicle]:
        """Those that the camera could see, far to near."""
        if not vehicles:
            return []
        points = np.array([_middle(one) for one in vehicles])
        pixels, depth = self.camera.project(points)
        reach = np.array([one.length_m for one in vehicles]) * self.camera.focal_px / np.maximum(depth, NEAREST_M)
        size = np.array([self.camera.width_px, self.camera.height_px])
        outside = np.any((pixels < -reach[:, None]) | (pixels > size + reach[:, None]), axis=1)
        keep = (depth > NEAREST_M + points[:, 2] + 4.0) & (depth < FARTHEST_M) & ~outside
        distance = np.hypot(points[:, 0] - self.camera.x_m, points[:, 1] - self.camera.y_m)
        return [vehicles[i] for i in np.argsort(-distance) if keep[i]]

    def shadows(self, frame: Image, vehicles: Sequence[RoadVehicle], offset: Array) -> None:
        """Darken the road beneath vehicles, and beside them when the sun shines."""
        if not vehicles:
            return
        ground = np.zeros((len(vehicles), 8, 3))
        for i, one in enumerate(vehicles):
            ground[i, :4, :2] = one.footprint()
            tall = one.height_m * 0.9 if self.weather.sun else 0.0
            ground[i, 4:, :2] = ground[i, :4, :2] - self._sun[:2] / self._sun[2] * tall
        pixels, depth = self.camera.project(ground)
        mask = np.full((frame.shape[0] // 2, frame.shape[1] // 2, 3), 255, np.uint8)
        fixed = np.round((pixels + offset) / 2 * _FIXED).astype(np.int32)
        fade = transmission(self.weather, depth.min(axis=1))
        for i in range(len(vehicles)):
            if depth[i].min() < NEAREST_M:
                continue
            if self.weather.sun:
                level = 255 * (1 - (1 - SHADOW) * fade[i])
                cv2.fillConvexPoly(mask, cv2.convexHull(fixed[i]), (level, level, level * 0.98), cv2.LINE_AA, _SHIFT)
            level = 255 * (1 - (1 - CONTACT_SHADOW * (0.8 if self.weather.sun else 1.0)) * fade[i])
            cv2.fillConvexPoly(mask, fixed[i, :4], (level, level, level), cv2.LINE_AA, _SHIFT)
        mask = cv2.blur(mask, (3, 3))
        cv2.multiply(frame, cv2.resize(mask, (frame.shape[1], frame.shape[0])), dst=frame, scale=1 / 255)

    def paint(self, frame: Image, vehicles: Sequence[RoadVehicle], t_s: float, offset: Array) -> list[Painted]:
        """Paint `vehicles` (far to near, as in_view gives them) and say where each shows."""
        if not vehicles:
            return []
        placed, materials, counts = [], [], []
        for one in vehicles:
            own_points, own_material = self._place(one)
            placed.append(own_points)
            materials.append(own_material)
            counts.append(len(own_points))
        points = np.concatenate(placed)
        owner = np.repeat(np.arange(len(vehicles)), counts)
        pixels, depth = self.camera.project(points)
        pixels = pixels + offset
        normals = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        faces = np.einsum("ij,ij->i", normals, self._position - points[:, 0]) > 0
        seen = faces & (depth.min(axis=1) > NEAREST_M) & (_area(pixels) > 0.7)
        palette = np.array([self._palette(one, t_s) for one in vehicles])
        material = np.concatenate(materials)
        colours = self._colours(palette[owner, material], material, points, normals, depth[:, 0])
        fixed = np.round(pixels * _FIXED).astype(np.int32)
        for i in np.flatnonzero(seen):
            cv2.fillConvexPoly(frame, fixed[i], colours[i], cv2.LINE_AA, _SHIFT)
        painted, start = [], 0
        for one, count in zip(vehicles, counts, strict=True):
            own = slice(start, start + count)
            start += count
            if depth[own].min() > NEAREST_M:
                hull = cv2.convexHull(pixels[own].reshape(-1, 2).astype(np.float32))[:, 0].astype(float)
                painted.append(Painted(one, hull, float(depth[own].min())))
        return painted

    def _place(self, one: RoadVehicle) -> tuple[Array, Array]:
        shapes = bodies(one.kind)
        body = shapes[int(fate(one.id, "shape") * len(shapes)) % len(shapes)]
        points, material = body.points, body.material
        dx, dy = one.direction
        to_camera = self._position[:2] - (one.x_m, one.y_m)
        if np.hypot(*to_camera) > DETAIL_WITHIN_M:
            points, material = points[~body.detail], material[~body.detail]
        if dx * (to_camera[0] + dx * one.length_m) + dy * (to_camera[1] + dy * one.length_m) < 0:
            points, material = self._rear_first(one.kind, points, material)
        forward = points[..., 0] * one.length_m
        left = points[..., 1] * one.width_m
        x = one.x_m + forward * dx - left * dy
        y = one.y_m + forward * dy + left * dx
        return np.stack([x, y, points[..., 2] * one.height_m], axis=-1), material

    @staticmethod
    def _rear_first(kind: Kind, points: Array, material: Array) -> tuple[Array, Array]:
        """Seen from behind, a lorry's cab is painted before its load."""
        if kind not in ("truck", "fire-engine"):
            return points, material
        order = np.argsort(-points[..., 0].mean(axis=1) > 0.26, kind="stable")
        return points[order], material[order]

    def _colours(self, base: Array, material: Array, points: Array, normals: Array, depth: Array) -> list[list[float]]:
        """Colour of each polygon as the camera sees it. base: (n, 4) from _palette."""
        light = shade(self.weather, normals, points[:, 0, 0], points[:, 0, 1])
        colour = base[:, :3] * np.where(base[:, 3] > 0, 1.0, light)[:, None]
        glass = (material == _NUMBER["glass"]) & (normals[:, 2] > 0.2)
        sky = 70.0 * self.weather.ambient + 60.0 * self.weather.sun
        colour[glass] += sky * np.array([1.0, 0.95, 0.86])
        t = transmission(self.weather, depth)[:, None]
        result: list[list[float]] = np.clip(colour * t + self._air * (1 - t), 0, 255).tolist()
        return result

    def _palette(self, one: RoadVehicle, t_s: float) -> Array:
        """Colour of each material of this vehicle (n, 4); the last figure is 1 for what shines by itself."""
        palette = _own_palette(one.id, one.kind).copy()
        if self.weather.lamps and one.kind not in UNLIT_KINDS:
            palette[_NUMBER["head"]] = (*LIT_HEADLAMP, 1.0)
            palette[_NUMBER["tail"]] = (*DIM_TAIL, 1.0)
        if one.speed_mps < 1.0 and one.kind not in UNLIT_KINDS:
            palette[_NUMBER["tail"]] = (*LIT_TAIL, 1.0)
        if one.lights.tail_hz and not blinks(one.lights.tail_hz, t_s):
            palette[_NUMBER["tail"]] = (*_COLOURS["tail"], 0.0)
        if one.flashing:
            sides = zip(("beacon-left", "beacon-right"), one.lights.colours, beacon_levels(one, t_s), strict=True)
            for material, colour, level in sides:
                dark, lit = np.array(DARK[colour]), np.array(LIT[colour])
                palette[_NUMBER[material]] = (*(dark + level * (lit - dark)), float(level > 0))
        return palette


@lru_cache(maxsize=4096)
def _own_palette(identity: str, kind: Kind) -> Array:
    """Colours of a vehicle whose lights are off, (n, 4)."""
    palette = np.zeros((len(MATERIALS), 4))
    for name, colour in _COLOURS.items():
        palette[_NUMBER[name], :3] = colour
    paint = _OWN_PAINT.get(kind)
    palette[0, :3] = paint if paint else _PAINTS[int(fate(identity, "paint") * len(_PAINTS)) % len(_PAINTS)]
    if kind == "three-wheeler":
        palette[0, :3], palette[_NUMBER["cargo"], :3] = _CABS[int(fate(identity, "paint") * len(_CABS)) % len(_CABS)]
    palette[_NUMBER["cloth"], :3] *= 0.6 + 1.6 * fate(identity, "cloth")
    if kind in _STRIPES:
        palette[_NUMBER["stripe"], :3] = _STRIPES[kind]
    else:
        palette[_NUMBER["stripe"], :3] = _PAINTS[int(fate(identity, "stripe") * len(_PAINTS)) % len(_PAINTS)]
    palette[_NUMBER["sign"], 3] = 1.0
    return palette


def _middle(one: RoadVehicle) -> tuple[float, float, float]:
    dx, dy = one.direction
    return one.x_m - dx * one.length_m / 2, one.y_m - dy * one.length_m / 2, one.height_m / 2


def _area(pixels: Array) -> Array:
    """Area of polygons (n, CORNERS, 2) in square pixels."""
    x, y = pixels[..., 0], pixels[..., 1]
    after = np.roll(np.arange(CORNERS), -1)
    area: Array = np.abs((x * y[:, after] - x[:, after] * y).sum(axis=1)) / 2
    return area
