"""A road, a camera and a weather: give it vehicles and a time, and it gives a frame and the truth behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sim_devices.render.arrays import Array, Image
from sim_devices.render.background import draw_background
from sim_devices.render.beacons import RoadsideLamp
from sim_devices.render.camera import Camera
from sim_devices.render.glow import Glow
from sim_devices.render.painter import Painted, Painter
from sim_devices.render.rain import add_falling, rain_layers
from sim_devices.render.road import Road
from sim_devices.render.snow import snow_layers
from sim_devices.render.truth import Truth, VehicleBox, measure
from sim_devices.render.vehicle import RoadVehicle, beacon_levels
from sim_devices.render.weather import Weather
from sim_devices.render.works import paint_lamps

JPEG_QUALITY = 82
NOISE_TILES = 3
SHAKES = 8
LEAST_VISIBLE_PX = 12


@dataclass(frozen=True)
class Rendered:
    """frame: (height, width, 3) uint8, blue, green, red."""

    frame: Image
    truth: Truth

    def jpeg(self, quality: int = JPEG_QUALITY) -> bytes:
        return encode_jpeg(self.frame, quality)


class Scene:
    """Deterministic: the same camera, road, weather, seed, vehicles and t_s give the same bytes, in any order of calls.

    The empty road is painted when the scene is made (about 0.3 s); a frame of 640x360 takes a few milliseconds.
    """

    def __init__(self, camera: Camera, road: Road, weather: Weather, seed: int) -> None:
        self.camera = camera
        self.road = road
        self.weather = weather
        self.seed = seed
        self.background = draw_background(camera, road, weather, seed)
        self._corners = tuple((float(x), float(y)) for x, y in camera.corners(road))
        self._painter = Painter(camera, weather)
        self._glow = Glow(camera, weather)
        size = (camera.width_px, camera.height_px)
        self._falling = rain_layers(*size, weather.rain, seed) + snow_layers(*size, weather.snow, seed)
        self._noise = self._noise_tiles()
        self._shaken = self._shaken_backgrounds()

    def render(
        self, vehicles: Sequence[RoadVehicle], t_s: float, boxes: bool = True, lamps: Sequence[RoadsideLamp] = ()
    ) -> Rendered:
        """One frame and its truth. boxes: also find each vehicle's visible pixels (a millisecond or two). lamps: what
        flashes beside the road; vehicles are painted over their boards."""
        random = np.random.default_rng((self.seed, round(t_s * 1000) & 0xFFFFFFFFFFFF))
        offset, shaken = self._shaken[int(random.integers(len(self._shaken)))]
        frame = shaken.copy()
        shown = self._painter.in_view(vehicles)
        paint_lamps(frame, self.camera, self.weather, lamps, t_s, offset)
        self._painter.shadows(frame, shown, offset)
        painted = self._painter.paint(frame, shown, t_s, offset)
        self._glow.add(frame, painted, t_s, offset, lamps)
        add_falling(frame, self._falling, random)
        frame = cv2.GaussianBlur(frame, (3, 3), 0.62)
        self._grain(frame, random)
        found = self._boxes(painted, t_s) if boxes else ()
        return Rendered(frame, self.truth(vehicles, t_s, found))

    def truth(self, vehicles: Sequence[RoadVehicle], t_s: float, boxes: tuple[VehicleBox, ...] = ()) -> Truth:
        """The truth alone, without a picture."""
        return measure(self.road, vehicles, t_s, self._corners, boxes)  # type: ignore[arg-type]

    def _shaken_backgrounds(self) -> list[tuple[Array, Image]]:
        """The empty road as the swaying camera sees it, with each offset in pixels."""
        if not self.weather.shake_px:
            return [(np.zeros(2), self.background)]
        offsets = np.random.default_rng((self.seed, 0x5A)).normal(0.0, self.weather.shake_px, (SHAKES, 2))
        size = (self.camera.width_px, self.camera.height_px)
        moves = [np.array([[1, 0, dx], [0, 1, dy]]) for dx, dy in offsets]
        pictures = [cv2.warpAffine(self.background, move, size, borderMode=cv2.BORDER_REPLICATE) for move in moves]
        return list(zip(offsets, pictures, strict=True))

    def _noise_tiles(self) -> list[Array]:
        random = np.random.default_rng((self.seed, 0x9015E))
        shape = (self.camera.height_px, self.camera.width_px * 2, 3)
        tiles = [random.normal(0, self.weather.noise, shape) for _ in range(NOISE_TILES)]
        return [np.clip(np.round(tile), -127, 127).astype(np.int8) for tile in tiles]

    def _grain(self, frame: Image, random: np.random.Generator) -> None:
        tile = self._noise[int(random.integers(NOISE_TILES))]
        start = int(random.integers(frame.shape[1]))
        cv2.add(frame, tile[:, start : start + frame.shape[1]], dst=frame, dtype=cv2.CV_8U)

    def _boxes(self, painted: list[Painted], t_s: float) -> tuple[VehicleBox, ...]:
        """Visible pixels of each vehicle: what nearer outlines leave of its own."""
        height, width = self.camera.height_px, self.camera.width_px
        owners = np.zeros((height, width), np.uint8)
        areas = []
        for number, one in enumerate(painted[-255:], start=1):
            outline = np.round(one.outline).astype(np.int32)
            cv2.fillConvexPoly(owners, outline, number)
            low, high = outline.min(axis=0), outline.max(axis=0) + 1
            areas.append((max(0, low[0]), max(0, low[1]), min(width, high[0]), min(height, high[1])))
        found = []
        for number, (one, (left, top, right, bottom)) in enumerate(zip(painted[-255:], areas, strict=True), start=1):
            if right <= left or bottom <= top:
                continue
            own = cv2.inRange(owners[top:bottom, left:right], number, number)
            visible = cv2.countNonZero(own)
            if visible < LEAST_VISIBLE_PX:
                continue
            x, y, w, h = cv2.boundingRect(own)
            vehicle = one.vehicle
            left_lit, right_lit = beacon_levels(vehicle, t_s)
            side = ("left" if left_lit >= right_lit else "right") if vehicle.beacons else None
            box = (int(left + x), int(top + y), int(left + x + w), int(top + y + h))
            found.append(VehicleBox(vehicle.id, vehicle.kind, box, visible, vehicle.beacons, side))
        return tuple(found)


def encode_jpeg(frame: Image, quality: int = JPEG_QUALITY) -> bytes:
    return cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
