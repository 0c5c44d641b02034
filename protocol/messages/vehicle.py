"""Where a vehicle says that it is."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from protocol.messages.base import Message

Longitude = Annotated[float, Meta(ge=-180.0, le=180.0)]
Latitude = Annotated[float, Meta(ge=-90.0, le=90.0)]


class VehiclePosition(Message, frozen=True, kw_only=True, tag="vehicle-position"):
    """A vehicle's own declaration: shown on the map, and no reason to change a signal until it is authenticated."""

    role: Literal["ambulance", "fire-engine", "police", "bus", "other"]
    longitude: Longitude
    latitude: Latitude
    heading_deg: Annotated[float, Meta(ge=0.0, le=360.0)]
    speed_mps: Annotated[float, Meta(ge=0.0, le=120.0)]
    beacons: bool
