"""The simulated side of the world in one process: traffic, cameras, signal controllers, vehicles and faults.

One thread steps everything five times a second in real time; servers and links have threads of their own.
"""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import cv2

from node.broker.paho_client import PahoClient
from node.broker.port import BrokerAddress
from node.clock import Clock
from node.identity import Identity
from node.link import death_will
from sim_devices.cameras import Moment
from sim_devices.city.cameras import mount_cameras
from sim_devices.city.city import Traffic, plan_city
from sim_devices.city.site import write_site
from sim_devices.city.sumo import STEP_S
from sim_devices.controller.runner import ControllerRunner, OnCommand
from sim_devices.devices import FleetDevices
from sim_devices.faults.desk import FaultDesk
from sim_devices.faults.panel import FaultPanel
from sim_devices.faults.proxy import LinkProxy
from sim_devices.options import CityOptions
from sim_devices.render.weather import WEATHERS
from sim_devices.sensing import CameraSensing, SensedBy, TruthSensing
from sim_devices.streams.channel import Channel
from sim_devices.streams.mjpeg import MjpegServer
from sim_devices.vehicle_keys import fleet_keys
from sim_devices.vehicle_route import Ways
from sim_devices.vehicles import fleet_devices

STEP_MS = round(STEP_S * 1000)
# When the machine was busy for longer than this, the city's time is not made up for.
PATIENCE_MS = 1_000

log = logging.getLogger(__name__)


class Part(Protocol):
    """Something with threads of its own."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class CityProcess:
    """Make it, let whoever needs the site and the addresses read them, then run() until told to stop.

    on_command: see ControllerRunner. Making it raises SumoMissing (KF95), CityBuildFailed (KF96), PortInUse (KF48) and
    EpochFileUnreadable (KF100); run() raises SumoStopped (KF97).
    """

    def __init__(self, options: CityOptions, clock: Clock, on_command: OnCommand = lambda *_: None) -> None:
        self.options = options
        self._clock = clock
        self.plan = plan_city(options.layout, options.home)
        self.mounted = mount_cameras(self.plan, options.seed)
        self.links = self._make_links()
        self.server: MjpegServer | None = None
        if options.sensing == "camera":
            self.server = MjpegServer([one.id for one in self.mounted], options.camera_port)
        self.runner = ControllerRunner(
            self.plan.site,
            self._connect_controller,
            clock,
            options.home / "sim" / "controllers",
            prefix=options.prefix,
            on_command=on_command,
        )
        self.panel = FaultPanel(
            FaultDesk(
                cameras=self._channels(),
                controllers={str(one.device): one.inject for one in self.runner.controllers.values()},
                links=self.links,
            ),
            options.panel_token,
            options.panel_port,
        )

    def write_site(self, path: Path) -> None:
        """The city's site.toml, for the edge to load."""
        write_site(self.plan.site, path)

    def describe(self) -> dict[str, Any]:
        """Where everything is, for those who start agents or set faults: it holds the panel's token. A camera's url is
        None when sensing is by truth."""
        return {
            "cameras": [
                {
                    "id": one.id,
                    "intersection": one.intersection,
                    "approach": one.approach,
                    "url": self.server.url(one.id) if self.server else None,
                    "road_width_m": one.road_width_m,
                    "road_length_m": one.road_length_m,
                    "road": one.road,
                }
                for one in self.mounted
            ],
            "links": {name: {"host": link.address[0], "port": link.address[1]} for name, link in self.links.items()},
            "panel": {"url": self.panel.url, "token": self.options.panel_token},
        }

    def run(self, stop: threading.Event) -> None:
        """Run until `stop` is set. Whatever was started has ended when this returns."""
        cv2.setNumThreads(1)
        fleet = FleetDevices(
            self._through("vehicles"),
            self._clock,
            self.options.prefix,
            Ways(self.plan.site, self.plan.network),
            fleet_keys(self.options.home, fleet_devices()),
        )
        sensing = self._make_sensing()
        with ExitStack() as running:
            parts: tuple[Part, ...] = (*self.links.values(), self.panel, self.runner, fleet, sensing)
            for part in parts:
                running.callback(part.stop)
                part.start()
            traffic = Traffic(self.plan, self.options.seed, self.options.level, self.options.emergency)
            running.callback(traffic.close)
            log.info("the simulated city runs")
            self._keep_time(traffic, fleet, sensing, stop)

    def _keep_time(self, traffic: Traffic, fleet: FleetDevices, sensing: SensedBy, stop: threading.Event) -> None:
        due_ms = self._clock.monotonic_ms()
        while not stop.is_set():
            vehicles = traffic.advance({one: self.runner.aspects(one) for one in self.runner.controllers})
            moment = Moment(traffic.time_s, self._clock.wall_ms(), self._clock.monotonic_ms())
            fleet.fleet.tell(vehicles, moment.mono_ms)
            sensing.look(vehicles, moment)
            due_ms += STEP_MS
            now_ms = self._clock.monotonic_ms()
            if now_ms - due_ms > PATIENCE_MS:
                log.warning("the city is %.1f s behind and goes on from here", (now_ms - due_ms) / 1000)
                due_ms = now_ms
            stop.wait(max(0, due_ms - now_ms) / 1000)

    def _connect_controller(self, identity: Identity) -> PahoClient:
        return PahoClient(self._through("controllers"), identity.device, death_will(identity, self.options.prefix))

    def _make_sensing(self) -> SensedBy:
        options = self.options
        if self.server is None:
            return TruthSensing(self.plan, self._through("truth"), self._clock, options.prefix)
        return CameraSensing(self.plan, self.mounted, self.server, WEATHERS[options.weather])

    def _channels(self) -> dict[str, Channel]:
        return {str(camera): channel for camera, channel in self.server.channels.items()} if self.server else {}

    def _make_links(self) -> dict[str, LinkProxy]:
        """A spoilable way to the broker for each kind of client. Over TLS there is none: a proxy would be in the way
        of checking the broker's name."""
        options = self.options
        if options.broker.tls:
            return {}
        ports = {"controllers": 0, "vehicles": 0}
        if options.sensing == "truth":
            ports["truth"] = 0
        if options.agent_link_port is not None:
            ports["agents"] = options.agent_link_port
        if options.edge_link_port is not None:
            ports["edge"] = options.edge_link_port
        target = (options.broker.host, options.broker.port)
        return {
            name: LinkProxy(target, options.seed * 10 + place, port) for place, (name, port) in enumerate(ports.items())
        }

    def _through(self, link: str) -> BrokerAddress:
        proxy = self.links.get(link)
        broker = self.options.broker
        return replace(broker, host=proxy.address[0], port=proxy.address[1]) if proxy else broker
