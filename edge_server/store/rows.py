"""What the store hands out and takes in where no message of the protocol says it already."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from protocol.ids import ApproachId, BootId, CameraId, DeviceId, IntersectionId
from protocol.messages.alarm import Severity
from protocol.units import Congestion

Mistake = Literal["false-alarm", "wrong-class"]


class LogEntry(Struct, frozen=True, kw_only=True):
    """A line of the event log. kind: a slug; subject: what it is about; id is 0 until it is stored."""

    id: int = 0
    at_ms: int
    kind: str
    severity: Severity = "info"
    device: str = ""
    subject: str = ""
    text: str
    code: str | None = None


class StoredAlarm(Struct, frozen=True, kw_only=True):
    """A row of `alarms`. at_ms is the device's clock, received_ms the edge's."""

    id: int
    source: DeviceId
    boot: BootId
    seq: int
    alarm: str
    subject: str
    severity: Severity
    active: bool
    text: str
    code: str | None
    at_ms: int
    received_ms: int


class KeptAlarm(StoredAlarm, frozen=True, kw_only=True):
    """The whole row."""

    age_ms: int


class IndexPoint(Struct, frozen=True, kw_only=True):
    """One observation, as much of it as a history needs. captured_ms is the edge's clock: receipt less age."""

    captured_ms: int
    approach: ApproachId
    camera: CameraId
    status: str
    index: float | None
    index_low: float
    index_high: float
    occupancy: float | None
    queue_m: float | None
    congestion: Congestion | None


class SignalEntry(Struct, frozen=True, kw_only=True):
    """One decision about one intersection. phases: those asked for; reason: why; command: its id, "" when none was
    sent; outcome: what the controller or the safety check said of it."""

    id: int = 0
    at_ms: int
    intersection: IntersectionId
    controller: str
    phases: tuple[int, ...]
    reason: str
    command: str = ""
    outcome: str = ""


class Correction(Struct, frozen=True, kw_only=True):
    """What a person said was wrong. alarm: the id of the row in `alarms`, for a false alarm; congestion: what it really
    was, for a wrong class. id is 0 until it is stored."""

    id: int = 0
    made_ms: int
    mistake: Mistake
    alarm: int | None = None
    source: str = ""
    camera: str = ""
    approach: str = ""
    at_ms: int = 0
    said: Congestion | None = None
    congestion: Congestion | None = None
    note: str = ""


class Gap(Struct, frozen=True, kw_only=True):
    """Numbers first..last of a boot that are not here: the reason that the device gave, or `missing` without one."""

    id: int
    source: DeviceId
    boot: BootId
    first: int
    last: int
    reason: str
    found_ms: int
