"""A vehicle in the city."""

from __future__ import annotations

from dataclasses import dataclass

from sim_devices.render.vehicle import Kind


@dataclass(frozen=True)
class CityVehicle:
    """x_m, y_m: middle of the front bumper, east and north of the city's origin. heading_deg: clockwise from north.
    lane: SUMO's id of the lane. beacons: flashing. Of an emergency vehicle alone, ahead: the rest of its way, from the
    road that it is on, and stop_m: how far it has to go on that one."""

    id: str
    kind: Kind
    x_m: float
    y_m: float
    heading_deg: float
    length_m: float
    width_m: float
    height_m: float
    speed_mps: float
    lane: str
    beacons: bool
    ahead: tuple[str, ...] = ()
    stop_m: float = 0.0
