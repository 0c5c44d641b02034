"""What an edge server tells the cloud tier of itself, every half minute: counts and versions. No picture, no
observation, no address. It travels over HTTP, signed by the edge's key."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from protocol import PROTOCOL_VERSION
from protocol.errors import MessageMalformed, MessageTooLarge, MessageVersionUnknown
from protocol.ids import BOOT_PATTERN, SLUG_PATTERN, BootId, DeviceId, SiteId
from protocol.messages.base import Finite, Millis, Seq

LIMIT_BYTES = 512 * 1024
DEVICES_LIMIT = 2_000
# At once, and then this often. An edge that can't reach its cloud tries less and less often.
EVERY_S = 30.0

Software = Annotated[str, Meta(max_length=100)]
Count = Annotated[int, Meta(ge=0, lt=1 << 31)]


class DeviceStatus(Struct, frozen=True, kw_only=True):
    device: Annotated[DeviceId, Meta(pattern=SLUG_PATTERN)]
    role: Annotated[str, Meta(pattern=SLUG_PATTERN)]
    state: Literal["online", "silent", "offline"]
    software: Software


class AlarmCounts(Struct, frozen=True, kw_only=True):
    """Alarms that stand, by how bad they are."""

    info: Count = 0
    warning: Count = 0
    critical: Count = 0


class EdgeStatus(Struct, frozen=True, kw_only=True):
    """seq counts from 1 within one boot of the edge server's process; at_ms is its wall clock, which may be wrong.

    devices_left_out: how many there are beyond those listed.
    """

    v: int = PROTOCOL_VERSION
    edge: Annotated[DeviceId, Meta(pattern=SLUG_PATTERN)]
    boot: Annotated[BootId, Meta(pattern=BOOT_PATTERN)]
    seq: Seq
    at_ms: Millis
    software: Software
    site: Annotated[SiteId, Meta(pattern=SLUG_PATTERN)]
    uptime_s: Finite
    broker_connected: bool
    alarms: AlarmCounts
    devices: Annotated[tuple[DeviceStatus, ...], Meta(max_length=DEVICES_LIMIT)] = ()
    devices_left_out: Count = 0


def encode_status(status: EdgeStatus) -> bytes:
    return msgspec.json.encode(status)


def decode_status(body: bytes) -> EdgeStatus:
    """Raises MessageTooLarge (KF12), MessageMalformed (KF11) or MessageVersionUnknown (KF13)."""
    where = "status"
    if len(body) > LIMIT_BYTES:
        raise MessageTooLarge(topic=where, size_bytes=len(body), limit_bytes=LIMIT_BYTES)
    try:
        status = msgspec.json.decode(body, type=EdgeStatus)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageMalformed(topic=where, detail=str(error)[:200]) from error
    if status.v != PROTOCOL_VERSION:
        raise MessageVersionUnknown(topic=where, version=status.v, supported=PROTOCOL_VERSION)
    return status
