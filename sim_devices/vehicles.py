"""Emergency vehicles that say where they are, and ask for the signals of their way: a small fleet of devices on one
broker connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from node.identity import Identity
from protocol.geo import to_lonlat
from protocol.ids import DeviceId
from protocol.messages import VehiclePosition
from sim_devices.city.site import ORIGIN
from sim_devices.city.vehicle import CityVehicle

PERIOD_MS = 1_000
FLEET = 2

Role = Literal["ambulance", "fire-engine", "police"]
ROLES: dict[str, Role] = {"ambulance": "ambulance", "fire-engine": "fire-engine", "police": "police"}


@dataclass(frozen=True)
class Unit:
    """One vehicle's device. send takes each position, which the outbox must account for. ask: what it has to say of its
    way is sent now or never; None in its argument when it has left the road."""

    identity: Identity
    send: Callable[[VehiclePosition], object]
    ask: Callable[[CityVehicle | None], object] = lambda _: None


def fleet_devices() -> list[DeviceId]:
    return [DeviceId(f"{role}-{number}") for role in ROLES for number in range(1, FLEET + 1)]


class Fleet:
    """Gives each emergency vehicle on the road one of a few units (`ambulance-1`, `ambulance-2`), which is free again
    when it has left; a third ambulance at a time says nothing."""

    def __init__(self, units: Mapping[DeviceId, Unit]) -> None:
        self._units = units
        self._driven: dict[str, DeviceId] = {}
        self._said_ms: dict[DeviceId, int] = {}

    def tell(self, vehicles: Sequence[CityVehicle], now_ms: int) -> None:
        """Call once a step; each unit speaks once a second."""
        on_road = {one.id: one for one in vehicles if one.kind in ROLES}
        for gone in self._driven.keys() - on_road.keys():
            self._units[self._driven.pop(gone)].ask(None)
        for vehicle in on_road.values():
            unit = self._driven.get(vehicle.id) or self._take(vehicle)
            if unit is None or now_ms - self._said_ms.get(unit, -PERIOD_MS) < PERIOD_MS:
                continue
            self._said_ms[unit] = now_ms
            self._units[unit].send(_position(self._units[unit].identity, vehicle))
            self._units[unit].ask(vehicle)

    def _take(self, vehicle: CityVehicle) -> DeviceId | None:
        taken = set(self._driven.values())
        for number in range(1, FLEET + 1):
            unit = DeviceId(f"{vehicle.kind}-{number}")
            if unit not in taken and unit in self._units:
                self._driven[vehicle.id] = unit
                return unit
        return None


def _position(identity: Identity, vehicle: CityVehicle) -> VehiclePosition:
    longitude, latitude = to_lonlat(vehicle.x_m, vehicle.y_m, ORIGIN)
    return VehiclePosition(
        **identity.accounted(),
        role=ROLES[vehicle.kind],
        longitude=longitude,
        latitude=latitude,
        heading_deg=vehicle.heading_deg % 360,
        speed_mps=max(0.0, vehicle.speed_mps),
        beacons=vehicle.beacons,
    )
