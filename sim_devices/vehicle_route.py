"""The way of a simulated emergency vehicle, as it tells it when it asks for the signals."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_server.signals.preemption.signature import sign
from node.identity import Identity
from protocol.messages import Leg, PriorityRoute
from protocol.messages.priority_route import LEGS_MOST
from protocol.preemption import VehicleRole
from protocol.site import Site
from sim_devices.city.network import Network
from sim_devices.city.vehicle import CityVehicle

# Emergency vehicles drive so much faster than allowed (sim_devices.city.sumo).
SPEED_FACTOR = 1.2


class Ways:
    """The city's map, as a vehicle has it. Its roads are the site's approaches."""

    def __init__(self, site: Site, network: Network) -> None:
        self._site = site.id
        self._intersection_of = {
            str(approach.id): one.id for one in site.intersections for approach in one.approaches
        }  # fmt: skip
        self._length_m = {edge: lanes[0].length_m for edge, lanes in network.lanes.items()}
        self._across_m = {
            (link.from_edge, link.to_edge): link.length_m for links in network.links.values() for link in links
        }
        self._speed_mps = {edge: lanes[0].speed_mps for edge, lanes in network.lanes.items()}

    def legs(self, vehicle: CityVehicle) -> tuple[Leg, ...]:
        """The signals that are still ahead of it."""
        found: list[Leg] = []
        gone_m = vehicle.stop_m
        for edge, following in zip(vehicle.ahead, vehicle.ahead[1:], strict=False):
            if edge in self._intersection_of:
                found.append(
                    Leg(
                        site=self._site,
                        intersection=self._intersection_of[edge],
                        approach=edge,  # type: ignore[arg-type]
                        egress=following,
                        distance_m=round(gone_m),
                    )
                )
                gone_m = 0.0
            gone_m += self._across_m.get((edge, following), 0.0) + self._length_m[following]
        return tuple(found[:LEGS_MOST])

    def speed_cmps(self, vehicle: CityVehicle) -> int:
        """How fast it drives when nothing is in its way."""
        return round(100 * SPEED_FACTOR * self._speed_mps[vehicle.ahead[0]])


class Asking:
    """What one unit says of its way, signed, from the moment that it has its beacons on until it has passed."""

    def __init__(self, identity: Identity, role: VehicleRole, key: Ed25519PrivateKey, ways: Ways) -> None:
        self._identity, self._role, self._key, self._ways = identity, role, key, ways
        self._last: PriorityRoute | None = None

    def say(self, vehicle: CityVehicle | None) -> PriorityRoute | None:
        """Its next message; None when it has nothing to say. vehicle: None when it has left the road."""
        legs = self._ways.legs(vehicle) if vehicle is not None and vehicle.beacons else ()
        if vehicle is not None and legs:
            action = "request" if self._last is None else "renew"
            speed_cmps = self._ways.speed_cmps(vehicle)
        elif self._last is not None:
            action, legs, speed_cmps = "cancel", self._last.legs, self._last.speed_cmps
        else:
            return None
        message = PriorityRoute(
            **self._identity.live(),
            action=action,  # type: ignore[arg-type]
            request=0,
            sequence=self._identity.clock.wall_ms(),
            role=self._role,
            speed_cmps=speed_cmps,
            legs=legs,
            evidence=("beacons",),
        )
        self._last = None if action == "cancel" else message
        return sign(message, self._key)
