"""SUMO's vehicles as a rendered camera shows them: one camera above each approach, drawn from where they truly are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import numpy as np

from protocol.ids import ApproachId
from sim_devices.city.vehicle import CityVehicle
from sim_devices.city.view import ApproachView
from sim_devices.errors import WeatherUnknown
from sim_devices.render.arrays import Image
from sim_devices.render.camera import Camera, mount
from sim_devices.render.scene import Scene
from sim_devices.render.vehicle import EMERGENCY_KINDS, Kind
from sim_devices.render.weather import WEATHERS, Weather

# What SUMO's classes of vehicle are drawn as; what is not named is a car.
KINDS: Mapping[str, Kind] = {
    "bus": "bus", "coach": "bus", "truck": "truck", "trailer": "truck", "delivery": "van", "motorcycle": "motorcycle",
    "moped": "motorcycle", "bicycle": "bicycle", "emergency": "ambulance",
}  # fmt: skip


def weather_of(name: str) -> Weather:
    """Raises WeatherUnknown (KF309)."""
    if name not in WEATHERS:
        raise WeatherUnknown(name=name, known=", ".join(WEATHERS))
    return WEATHERS[name]


class RenderedCamera:
    """One approach's. Where it hangs and the street's textures follow from the seed."""

    def __init__(self, view: ApproachView, weather: Weather, seed: int) -> None:
        self.view = view
        self.camera: Camera = mount(view.road, seed)
        self._scene = Scene(self.camera, view.road, weather, seed)

    def take(self, vehicles: list[CityVehicle], t_s: float) -> Image:
        """(height, width, 3) uint8, after the loss of the JPEG that a camera sends."""
        rendered = self._scene.render(self.view.look(vehicles), t_s, boxes=False)
        return cv2.imdecode(np.frombuffer(rendered.jpeg(), np.uint8), cv2.IMREAD_COLOR)  # type: ignore[return-value]


def cameras(views: Mapping[ApproachId, ApproachView], weather: Weather, seed: int) -> dict[ApproachId, RenderedCamera]:
    return {
        approach: RenderedCamera(view, weather, seed * 1000 + at) for at, (approach, view) in enumerate(views.items())
    }


class OnTheRoad:
    """Everyone who drives now, with what never changes of each remembered."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self._known: dict[str, tuple[Kind, float, float, float]] = {}

    def vehicles(self) -> list[CityVehicle]:
        names = self._api.vehicle.getIDList()
        self._known = {name: self._known.get(name) or self._kind(name) for name in names}
        return list(self._drawn(names))

    def _kind(self, name: str) -> tuple[Kind, float, float, float]:
        api = self._api.vehicle
        kind = KINDS.get(api.getVehicleClass(name), "car")
        return kind, api.getLength(name), api.getWidth(name), api.getHeight(name)

    def _drawn(self, names: tuple[str, ...]) -> Iterator[CityVehicle]:
        api = self._api.vehicle
        for name in names:
            kind, length_m, width_m, height_m = self._known[name]
            (x, y), heading = api.getPosition(name), api.getAngle(name)
            speed, lane, beacons = api.getSpeed(name), api.getLaneID(name), kind in EMERGENCY_KINDS
            yield CityVehicle(name, kind, x, y, heading, length_m, width_m, height_m, speed, lane, beacons)
