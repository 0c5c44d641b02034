"""One device as the edge server knows it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from protocol.ids import BootId, DeviceId, IntersectionId
from protocol.messages import CameraInfo
from protocol.messages.presence import Role

# silent: the broker still holds its connection, but it has said nothing for a while.
DeviceState = Literal["online", "silent", "offline"]


class Device(Struct, frozen=True, kw_only=True):
    """born_ms, heard_ms: the edge's wall clock at its latest birth, and when it was last heard of."""

    device: DeviceId
    boot: BootId
    role: Role
    state: DeviceState
    software: str
    name: str = ""
    hardware: str = ""
    intersection: IntersectionId | None = None
    cameras: tuple[CameraInfo, ...] = ()
    simulated: bool = False
    reason: str = ""
    born_ms: int = 0
    heard_ms: int = 0
