"""What ingest decided: rows to write, an acknowledgement to send, events to publish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from edge_server.ingest.ranges import Ranges
from protocol.ids import BootId, DeviceId
from protocol.messages import Alarm, Health, Observation, VehiclePosition

if TYPE_CHECKING:
    from edge_server.ingest.core import Boot


class StoreObservation(Struct, frozen=True):
    observation: Observation
    age_ms: int
    live: bool
    received_ms: int
    received_mono_ms: int


class StoreAlarm(Struct, frozen=True):
    alarm: Alarm
    age_ms: int
    received_ms: int


class RecoverAlarm(Struct, frozen=True):
    """An alarm that the other edge server of a pair has stored, as it received it."""

    alarm: Alarm
    age_ms: int
    received_ms: int


class HealthSeen(Struct, frozen=True):
    health: Health
    age_ms: int
    received_ms: int


class VehicleSeen(Struct, frozen=True):
    position: VehiclePosition
    age_ms: int
    received_ms: int


class GapExplained(Struct, frozen=True):
    """The device gave these numbers up, and said why."""

    source: DeviceId
    boot: BootId
    ranges: Ranges
    reason: str
    found_ms: int


class GapWithdrawn(Struct, frozen=True):
    """A number that the device had given up came after all."""

    source: DeviceId
    boot: BootId
    seq: int


class GivenUp(Struct, frozen=True):
    """Readings that came and that the edge server had no room for."""

    source: DeviceId
    boot: BootId
    ranges: Ranges
    found_ms: int


class MissingChanged(Struct, frozen=True):
    """All numbers of this boot that are missing without a reason; `fresh` of them are news."""

    source: DeviceId
    boot: BootId
    ranges: Ranges
    fresh: int
    found_ms: int


class Remember(Struct, frozen=True):
    """What to keep of a boot for the next start. known is None for one whose account is closed."""

    source: DeviceId
    boot: BootId
    known: Boot | None


class Acknowledge(Struct, frozen=True):
    source: DeviceId
    boot: BootId
    ranges: Ranges


class Tally(Struct, frozen=True):
    """How many of a batch were new, and how many were known already."""

    fresh: int
    repeated: int


Effect = (
    StoreObservation
    | StoreAlarm
    | RecoverAlarm
    | HealthSeen
    | VehicleSeen
    | GapExplained
    | GapWithdrawn
    | GivenUp
    | MissingChanged
    | Remember
    | Acknowledge
    | Tally
)
