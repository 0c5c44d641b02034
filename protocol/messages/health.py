"""How a device is doing."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocol.ids import SLUG_PATTERN, CameraId
from protocol.messages.base import Finite, Message, Millis, Text

# A century: a clock without a battery begins in 1970.
MAX_ERROR_MS = 3_155_760_000_000


class CameraHealth(Struct, frozen=True):
    camera: Annotated[CameraId, Meta(pattern=SLUG_PATTERN)]
    state: Literal["starting", "running", "stalled", "failed"]
    frames_per_s: Finite = 0.0
    restarts: int = 0
    detail: Text = ""


class UpdateOutcome(Struct, frozen=True, kw_only=True):
    """How the last update ended. code: a slug for programs (docs/updates.md lists them), None when it was committed."""

    version: Annotated[str, Meta(max_length=64)]
    result: Literal["committed", "rolled-back", "refused"]
    at_ms: Millis
    code: Annotated[str, Meta(max_length=64)] | None = None
    text: Text = ""


class UpdateState(Struct, frozen=True, kw_only=True):
    """version: the one that is known to work here. phase: `idle`, or how far an update to `target` is."""

    version: Annotated[str, Meta(max_length=64)]
    phase: Annotated[str, Meta(pattern=SLUG_PATTERN)]
    target: Annotated[str, Meta(max_length=64)] | None = None
    last: UpdateOutcome | None = None


class ClockState(Struct, frozen=True, kw_only=True):
    """Whose time counts there, and how far its clock may be off by that; None where nobody knows."""

    source: Literal["ntp", "gps", "edge", "none"]
    error_ms: Annotated[int, Meta(ge=0, le=MAX_ERROR_MS)] | None = None


class Health(Message, frozen=True, kw_only=True, tag="health"):
    """A device's state of health; the latest wins. disk_written_mb counts what this process wrote since its start.
    update: None where a device has never been updated. clock: None from a device that does not tell."""

    uptime_s: Finite
    rss_mb: Finite
    cpu_percent: Finite
    disk_free_mb: Finite
    disk_written_mb: Finite = 0.0
    outbox_messages: int = 0
    temperature_c: Finite | None = None
    cameras: tuple[CameraHealth, ...] = ()
    update: UpdateState | None = None
    clock: ClockState | None = None
