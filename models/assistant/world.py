"""What is known of roads, signals and devices at one instant: all that an answer's figures can come from.

Whoever answers for a machine (its agent, its edge server) makes one, and it crosses between processes as JSON. Times
are Unix milliseconds of that machine's clock. None is what is not known; nothing is 0 because it is not known.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from models.assistant.understanding.choice import Entities
from node.config.settable import SETTABLE
from protocol.units import Congestion

DeviceState = Literal["online", "offline", "degraded"]


class Vehicle(Struct, frozen=True, kw_only=True):
    """An emergency vehicle that a camera holds to be there. state: `requested` asks for way."""

    kind: str
    state: Literal["present", "requested"]
    direction: Literal["towards", "away", "standing"] | None = None


class Place(Struct, frozen=True, kw_only=True):
    """An intersection, or the place that a device without a site file watches."""

    id: str
    name: str = ""


class Approach(Struct, frozen=True, kw_only=True):
    """status `none`: nothing was heard yet. emergency None: nothing there could tell."""

    id: str
    name: str = ""
    place: str = ""
    status: Literal["none", "learning", "ok", "degraded", "blind"] = "none"
    congestion: Congestion | None = None
    index: float | None = None
    queue_m: float | None = None
    speed_mps: float | None = None
    count: float | None = None
    heard_ms: int | None = None
    emergency: Literal["absent", "present", "requested"] | None = None
    vehicles: tuple[Vehicle, ...] = ()


class Lamp(Struct, frozen=True, kw_only=True):
    phase: int
    name: str = ""
    aspect: str = "unknown"
    elapsed_ms: int = 0


class Signals(Struct, frozen=True, kw_only=True):
    """control `unknown`: their controller was not heard yet. mode: how far they are given into the edge's hands."""

    place: str
    control: Literal["local", "edge", "flash", "unknown"] = "unknown"
    mode: str = ""
    lamps: tuple[Lamp, ...] = ()
    fault: str | None = None
    heard_ms: int | None = None


class Claim(Struct, frozen=True, kw_only=True):
    """A vehicle that has the signals of a place, or waits for them."""

    place: str
    approach: str
    role: str
    holds: bool


class Device(Struct, frozen=True, kw_only=True):
    """reason: why it is not well, "" where it is."""

    id: str
    name: str = ""
    role: str = ""
    state: DeviceState = "online"
    reason: str = ""
    heard_ms: int | None = None
    uptime_s: float | None = None
    rss_mb: float | None = None
    cpu_percent: float | None = None
    disk_free_mb: float | None = None
    temperature_c: float | None = None
    waiting: int | None = None


class Camera(Struct, frozen=True, kw_only=True):
    """sees: how many of each kind are followed in the picture now, None where no detector tells that."""

    id: str
    device: str
    approach: str = ""
    state: Literal["starting", "running", "stalled", "failed", "unknown"] = "unknown"
    detail: str = ""
    frames_per_s: float = 0.0
    calibrated: bool = False
    problems: tuple[str, ...] = ()
    sees: dict[str, int] | None = None


class Point(Struct, frozen=True):
    """The index of an approach at one time; None while it was not known."""

    at_ms: int
    index: float | None
    congestion: Congestion | None = None


class World(Struct, frozen=True, kw_only=True):
    """teller: the device that answers."""

    teller: str
    now_ms: int
    places: tuple[Place, ...] = ()
    approaches: tuple[Approach, ...] = ()
    signals: tuple[Signals, ...] = ()
    claims: tuple[Claim, ...] = ()
    devices: tuple[Device, ...] = ()
    cameras: tuple[Camera, ...] = ()

    def entities(self) -> Entities:
        """The names by which somebody may call what is here: what people call it, and its id. An approach has what sets
        it apart at its intersection ("north" of "Mill Street, north"): so people say it, and many share a name."""
        places = {one.id: one.name for one in self.places}
        return Entities(
            intersections=_names((one.id, one.name) for one in self.places),
            devices=_names((one.id, one.name) for one in self.devices),
            approaches=_names(("", _apart(one, places.get(one.place, ""))) for one in self.approaches),
            settings=tuple(SETTABLE),
        )

    def age_s(self, heard_ms: int | None) -> float | None:
        return None if heard_ms is None else max(0.0, (self.now_ms - heard_ms) / 1000)


def _apart(one: Approach, place: str) -> str:
    """Its name without that of its intersection, else its id."""
    if place and one.name.lower().startswith(place.lower()):
        return one.name[len(place) :].strip(" ,:;-–") or one.name
    return one.name or one.id


def _names(pairs: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for identity, name in pairs for one in (name, identity) if one))
