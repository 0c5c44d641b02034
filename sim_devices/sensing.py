"""How the edge learns what the simulated roads are like: from rendered pictures, or from the truth."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Protocol

from node.broker.port import BrokerAddress
from node.clock import Clock
from sim_devices.cameras import CityCameras, FrameRate, Moment
from sim_devices.city.cameras import MountedCamera
from sim_devices.city.city import CityPlan
from sim_devices.city.sumo import STEP_S
from sim_devices.city.vehicle import CityVehicle
from sim_devices.devices import TruthDevice
from sim_devices.render.truth import measure
from sim_devices.render.vehicle import EMERGENCY_KINDS
from sim_devices.render.weather import Weather
from sim_devices.streams.mjpeg import MjpegServer

_NO_CORNERS = ((0.0, 0.0),) * 4


class SensedBy(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...

    def look(self, vehicles: Sequence[CityVehicle], moment: Moment) -> None:
        """Called once a step."""


class CameraSensing:
    """Serves a picture of every camera, at every step if the machine can; agents do the rest."""

    def __init__(self, plan: CityPlan, mounted: Sequence[MountedCamera], server: MjpegServer, weather: Weather) -> None:
        self._server = server
        self._cameras = CityCameras(mounted, plan.views, server.channels, weather)
        self._rate = FrameRate(STEP_S)
        self._stopping = threading.Event()
        self._painter = threading.Thread(
            target=self._cameras.paint, args=(self._stopping,), name="painter", daemon=True
        )

    def start(self) -> None:
        self._server.start()
        self._painter.start()

    def stop(self) -> None:
        self._stopping.set()
        self._server.stop()
        if self._painter.is_alive():
            self._painter.join()

    def look(self, vehicles: Sequence[CityVehicle], moment: Moment) -> None:
        if self._rate.due():
            begun = time.monotonic()
            self._cameras.take(vehicles, moment)
            self._rate.spent(time.monotonic() - begun)


class TruthSensing:
    """Tells the edge true occupancies; nothing is rendered and no agent is needed."""

    def __init__(self, plan: CityPlan, address: BrokerAddress, clock: Clock, prefix: str) -> None:
        self._views = plan.views
        self._device = TruthDevice(plan.site, address, clock, prefix)
        self._number = 0

    def start(self) -> None:
        self._device.start()

    def stop(self) -> None:
        self._device.stop()

    def look(self, vehicles: Sequence[CityVehicle], moment: Moment) -> None:
        self._number += 1
        for camera, view in self._views.items():
            road, shown = view.road, view.look(vehicles)
            emergency = any(
                one.beacons and one.kind in EMERGENCY_KINDS
                for one in shown
                if 0 <= one.x_m < road.width_m and 0 <= one.y_m < road.visible_length_m
            )
            truth = measure(road, shown, moment.city_s, _NO_CORNERS)
            self._device.sensor.see(camera, truth, self._number, emergency)
