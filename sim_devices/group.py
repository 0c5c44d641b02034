"""`kinflow city run` as a group of processes: simulated side, broker, edge server, agents."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from node.broker.address import format_broker
from node.broker.password import USERNAME, broker_password
from node.broker.port import BrokerAddress
from node.ports import LOOPBACK, accepts, check_port_free, first_free_port
from node.supervisor import Child
from protocol.ids import DeviceId
from protocol.site import Site
from sim_devices.city.cameras import MountedCamera, mount_cameras
from sim_devices.city.city import plan_city
from sim_devices.city.layout import CityLayout
from sim_devices.city.site import write_site
from sim_devices.city.toml import to_toml
from sim_devices.own_camera import DEVICE, OwnCamera, with_own_road
from sim_devices.vehicle_keys import enter_fleet

FIRST_CAMERA_PORT = 8810
FIRST_BROKER_PORT = 1883
FIRST_CLOUD_PORT = 8802
# cloud.server's TOKEN_FILE; importing that would load a web server into this process.
CLOUD_TOKEN = "cloud-token"  # noqa: S105 (the name of a file)
KINFLOW = (sys.executable, "-m", "kinflow")


def _at_once() -> bool:
    return True


@dataclass(frozen=True)
class GroupOptions:
    """port: of the dashboard, the only one that must be free; the others move up until they find room. broker: one
    that runs already, None to start one of `embed`. simulation: further arguments of `kinflow city simulate`. detector:
    of the city's agents; that of own_camera is the agent's own default. cloud: the tier above the edge server, which
    asks it where a question allows that."""

    home: Path
    port: int = 8800
    embed: str = "auto"
    broker: BrokerAddress | None = None
    seed: int = 1
    sensing: str = "camera"
    simulation: Sequence[str] = ()
    own_camera: OwnCamera | None = None
    layout: CityLayout = field(default_factory=CityLayout)
    faults: bool = True
    detector: str = "off"
    cloud: bool = False


class CityGroup:
    """Write down what the processes need, below home/city, and say which they are.

    Raises PortInUse (KF48), SumoMissing (KF95), CityBuildFailed (KF96) or VehicleKeysUnusable (KF320)."""

    def __init__(self, options: GroupOptions) -> None:
        check_port_free(LOOPBACK, options.port)
        self._options = options
        self.folder = options.home / "city"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.broker_port = first_free_port(FIRST_BROKER_PORT) if options.broker is None else options.broker.port
        self.camera_port = first_free_port(FIRST_CAMERA_PORT)
        self._link_port = first_free_port(self.camera_port + 1)
        self._panel_port = first_free_port(self._link_port + 1)
        self._cloud_port = first_free_port(FIRST_CLOUD_PORT) if options.cloud else 0
        self._panel_token = secrets.token_urlsafe(24)
        self.plan = plan = plan_city(options.layout, options.home)
        self.site = plan.site if options.own_camera is None else with_own_road(plan.site, options.own_camera)
        write_site(self.site, self.site_path)
        enter_fleet(options.home)
        self.cameras = mount_cameras(plan, options.seed)
        self._write_panel()

    @property
    def site_path(self) -> Path:
        return self.folder / "site.toml"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._options.port}"

    def children(self) -> list[Child]:
        """In starting order. The simulated side goes first: it paints its cameras' roads while the others start."""
        agents = list(self._agents(self.site)) if self._options.sensing == "camera" else []
        own = [self._own_agent(self._options.own_camera)] if self._options.own_camera is not None else []
        cloud = [self._cloud()] if self._options.cloud else []
        return [self._simulation(), self._edge(), *agents, *own, *cloud]

    def _simulation(self) -> Child:
        options = self._options
        arguments = ["city", "simulate", "--home", str(options.home), "--seed", str(options.seed)]
        arguments += ["--sensing", options.sensing, "--camera-port", str(self.camera_port), *options.simulation]
        arguments += ["--agent-link-port", str(self._link_port), "--panel-port", str(self._panel_port)]
        return self._child(
            "simulation",
            arguments,
            environment={"KINFLOW_BROKER_URL": self._broker_url(), "KINFLOW_PANEL_TOKEN": self._panel_token},
        )

    def _edge(self) -> Child:
        options = self._options
        arguments = ["edge", "run", "--port", str(options.port), "--site", str(self.site_path), "--id", "edge-city"]
        arguments += ["--home", str(options.home)]
        if options.broker is None:
            arguments += ["--embed", options.embed, "--broker-port", str(self.broker_port)]
        environment = {} if options.broker is None else {"KINFLOW_BROKER_URL": self._broker_url()}
        if options.cloud:
            environment["KINFLOW_SERVING_ABOVE"] = f"http://{LOOPBACK}:{self._cloud_port}"
            environment["KINFLOW_SERVING_ABOVE_TOKEN_FILE"] = str(self._cloud_home / CLOUD_TOKEN)
        return self._child(
            "edge",
            arguments,
            environment=environment,
            ready=partial(accepts, LOOPBACK, options.port),
        )

    @property
    def _cloud_home(self) -> Path:
        return self.folder / "cloud"

    def _cloud(self) -> Child:
        """With a state folder of its own: its authority is another than the edge server's."""
        self._cloud_home.mkdir(parents=True, exist_ok=True)
        arguments = ["cloud", "run", "--port", str(self._cloud_port), "--home", str(self._cloud_home)]
        return self._child("cloud", arguments, environment={}, ready=partial(accepts, LOOPBACK, self._cloud_port))

    def _agents(self, site: Site) -> Sequence[Child]:
        """One device for each intersection, with that intersection's cameras: a Pi at the roadside."""
        options = self._options
        children = []
        for intersection in site.intersections:
            device = DeviceId(f"{intersection.id}-pi")
            home = self.folder / device
            home.mkdir(parents=True, exist_ok=True)
            cameras = [one for one in self.cameras if one.intersection == intersection.id]
            (home / "kinflow.toml").write_text(self._agent_settings(device, cameras), encoding="utf-8")
            children.append(
                self._child(
                    device,
                    ["agent", "run", "--home", str(home), "--port", "0"],
                    environment={"KINFLOW_BROKER_URL": self._broker_url(self._link_port if options.faults else None)},
                )
            )
        return children

    def _agent_settings(self, device: DeviceId, cameras: Sequence[MountedCamera]) -> str:
        options = self._options
        tables = [
            {
                "id": one.id,
                "source": f"http://{LOOPBACK}:{self.camera_port}/{one.id}.mjpg",
                "approach": one.approach,
                "road_width_m": one.road_width_m,
                "road_length_m": one.road_length_m,
                "road": [list(point) for point in one.road],
                "detector": options.detector,
                # Nobody is seen by a simulated camera.
                "real_thumbnails": True,
            }
            for one in cameras
        ]
        return to_toml({"device": {"id": device, "name": "Simulated Pi"}, "agent": {"cameras": tables}})

    def _own_agent(self, camera: OwnCamera) -> Child:
        home = self.folder / DEVICE
        arguments = ["agent", "run", "--home", str(home), "--id", DEVICE, "--port", "0"]
        return self._child(
            DEVICE,
            [*arguments, *camera.arguments()],
            environment={"KINFLOW_BROKER_URL": self._broker_url()},
        )

    @property
    def broker(self) -> BrokerAddress:
        return self._options.broker or BrokerAddress(
            port=self.broker_port, username=USERNAME, password=broker_password(self._options.home)
        )

    def _broker_url(self, port: int | None = None) -> str:
        """Handed over in the environment, which other users of this machine can't read. port: of the faults' link."""
        broker = self.broker
        if port is not None and not broker.tls:  # the faults' proxy does not speak TLS
            broker = BrokerAddress(LOOPBACK, port, False, broker.username, broker.password)
        return format_broker(broker, with_password=True)

    def _child(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], ready: Callable[[], bool] = _at_once
    ) -> Child:
        whole = {**os.environ, "KINFLOW_HOME": str(self._options.home), **environment}
        return Child(name, [*KINFLOW, *arguments], ready=ready, restart=True, environment=whole)

    def _write_panel(self) -> None:
        """Where `kinflow city fault` finds the panel and its token."""
        path = self.folder / "panel.toml"
        path.touch(mode=0o600)
        path.write_text(to_toml({"url": f"http://{LOOPBACK}:{self._panel_port}/faults", "token": self._panel_token}))
