"""How a device is doing."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocol.ids import SLUG_PATTERN, CameraId
from protocol.messages.base import Finite, Message, Text


class CameraHealth(Struct, frozen=True):
    camera: Annotated[CameraId, Meta(pattern=SLUG_PATTERN)]
    state: Literal["starting", "running", "stalled", "failed"]
    frames_per_s: Finite = 0.0
    restarts: int = 0
    detail: Text = ""


class Health(Message, frozen=True, kw_only=True, tag="health"):
    """A device's state of health; the latest wins. disk_written_mb counts what this process wrote since its start."""

    uptime_s: Finite
    rss_mb: Finite
    cpu_percent: Finite
    disk_free_mb: Finite
    disk_written_mb: Finite = 0.0
    outbox_messages: int = 0
    temperature_c: Finite | None = None
    cameras: tuple[CameraHealth, ...] = ()
