"""The devices that the simulation itself plays: a sensor that knows the truth, and a fleet of emergency vehicles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.broker.paho_client import PahoClient
from node.broker.port import BrokerAddress, BrokerClient
from node.clock import Clock
from node.identity import Identity
from node.link import Link, death_will
from node.outbox.outbox import Outbox
from protocol.ids import CameraId, DeviceId
from protocol.messages import Birth, CameraInfo, Observation
from protocol.messages.presence import Role
from protocol.site import Site
from protocol.topics import OBSERVATION, PRIORITY_ROUTE, VEHICLE
from sim_devices.city.vehicle import CityVehicle
from sim_devices.shared_client import SharedClient
from sim_devices.truth import TruthSensor
from sim_devices.vehicle_route import Asking, Ways
from sim_devices.vehicles import ROLES, Fleet, Unit, fleet_devices

SOFTWARE = "kinflow simulation"
TRUTH_DEVICE = DeviceId("simulated-truth")
FLEET_CLIENT = "simulated-vehicles"


class TruthDevice:
    """One device that stands for all cameras of a site and knows what is on their roads. Its outbox is in memory."""

    def __init__(self, site: Site, address: BrokerAddress, clock: Clock, prefix: str) -> None:
        identity = Identity(TRUTH_DEVICE, clock)
        client = PahoClient(address, TRUTH_DEVICE, death_will(identity, prefix))
        cameras = tuple(
            CameraInfo(camera=one.camera, approach=one.id, calibrated=True)
            for one in site.approaches()
            if one.camera is not None
        )
        self.link = _link(identity, client, prefix, "agent", cameras)
        self.sensor = TruthSensor(identity, site, self._send)

    def _send(self, observation: Observation, camera: CameraId) -> None:
        self.link.send(OBSERVATION, observation, camera)

    def start(self) -> None:
        self.link.start()

    def stop(self) -> None:
        self.link.stop()


class FleetDevices:
    """Every unit of the fleet, each with its own identity and outbox, on one connection. keys: with which units ask for
    the signals of their way; one without a key does not."""

    def __init__(
        self,
        address: BrokerAddress,
        clock: Clock,
        prefix: str,
        ways: Ways,
        keys: Mapping[DeviceId, Ed25519PrivateKey],
    ) -> None:
        self._client = PahoClient(address, FLEET_CLIENT)
        self._links = []
        units = {}
        for device in fleet_devices():
            identity = Identity(device, clock)
            link = _link(identity, SharedClient(self._client), prefix, "vehicle")
            units[device] = Unit(identity, partial(link.send, VEHICLE))
            if device in keys:
                role = ROLES[device.rpartition("-")[0]]
                units[device] = replace(
                    units[device], ask=partial(_ask, link, Asking(identity, role, keys[device], ways))
                )
            self._links.append(link)
        self.fleet = Fleet(units)

    def start(self) -> None:
        self._client.start()
        for link in self._links:
            link.start()

    def stop(self) -> None:
        for link in self._links:
            link.stop()
        self._client.stop()


def _ask(link: Link, asking: Asking, vehicle: CityVehicle | None) -> None:
    message = asking.say(vehicle)
    if message is not None:
        link.send_live(PRIORITY_ROUTE, message.source, message)


def _link(
    identity: Identity, client: BrokerClient, prefix: str, role: Role, cameras: tuple[CameraInfo, ...] = ()
) -> Link:
    def birth() -> Birth:
        return Birth(**identity.live(), role=role, software=SOFTWARE, cameras=cameras, simulated=True)

    return Link(identity, client, Outbox(identity.boot, identity.clock, None), prefix, birth=birth)
