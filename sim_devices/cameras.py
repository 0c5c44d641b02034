"""The city's cameras: a scene for each, rendered as often as the machine can and handed to its channel."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from protocol.ids import CameraId
from sim_devices.city.cameras import MountedCamera
from sim_devices.city.vehicle import CityVehicle
from sim_devices.city.view import ApproachView
from sim_devices.render.scene import Scene
from sim_devices.render.weather import Weather
from sim_devices.streams.channel import Channel, Picture

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Moment:
    """When a picture was taken: the city's time and this machine's wall and monotonic clocks."""

    city_s: float
    wall_ms: int
    mono_ms: int


class CityCameras:
    """Renders what each mounted camera sees."""

    def __init__(
        self,
        mounted: Sequence[MountedCamera],
        views: Mapping[CameraId, ApproachView],
        channels: Mapping[CameraId, Channel],
        weather: Weather,
    ) -> None:
        self._mounted = mounted
        self._views = views
        self._channels = channels
        self._weather = weather
        self._scenes: dict[CameraId, Scene] = {}
        self._number = 0

    def paint(self, stop: threading.Event) -> None:
        """Paint every empty road, about a second for each; a camera has pictures once its own is done. For a thread of
        its own, which ends soon after `stop` is set."""
        for one in self._mounted:
            if stop.is_set():
                return
            scene = Scene(one.camera, self._views[one.id].road, self._weather, one.seed)
            self._scenes = {**self._scenes, one.id: scene}

    def take(self, vehicles: Sequence[CityVehicle], moment: Moment) -> None:
        """One picture of every camera, as its channel's newest."""
        self._number += 1
        for camera, scene in self._scenes.items():
            shown = self._views[camera].look(vehicles)
            rendered = scene.render(shown, moment.city_s, boxes=False)
            picture = Picture(rendered.jpeg(), moment.wall_ms, moment.mono_ms, self._number)
            self._channels[camera].publish(picture)


class FrameRate:
    """Renders every nth step, where n grows while rendering takes more than `share` of the time, and shrinks again."""

    SLOWEST = 5
    SMOOTHING = 0.1

    def __init__(self, step_s: float, share: float = 0.6) -> None:
        self._step_s = step_s
        self._share = share
        self._cost_s = 0.0
        self._since = 0
        self.every = 1

    @property
    def frames_per_s(self) -> float:
        return 1 / (self._step_s * self.every)

    def due(self) -> bool:
        """Call once a step: whether this one is rendered."""
        self._since += 1
        if self._since < self.every:
            return False
        self._since = 0
        return True

    def spent(self, seconds: float) -> None:
        """Tell what rendering all cameras once took."""
        self._cost_s += self.SMOOTHING * (seconds - self._cost_s)
        before, budget_s = self.every, self._step_s * self._share
        if self._cost_s > budget_s * self.every and self.every < self.SLOWEST:
            self.every += 1
        elif self.every > 1 and self._cost_s < 0.7 * budget_s * (self.every - 1):
            self.every -= 1
        if self.every != before:
            log.warning(
                "rendering takes %.0f ms: cameras now give %.1f frames/s", self._cost_s * 1e3, self.frames_per_s
            )
