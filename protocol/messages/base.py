"""The envelope that every message carries, and the value types that several messages share."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from protocol import PROTOCOL_VERSION
from protocol.ids import (
    BOOT_PATTERN,
    SLUG_PATTERN,
    UUID_PATTERN,
    BootId,
    DeviceId,
    MessageId,
)

Text = Annotated[str, Meta(max_length=500)]
Seq = Annotated[int, Meta(ge=0, lt=1 << 53)]
Millis = Annotated[int, Meta(ge=0, lt=1 << 53)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
Finite = Annotated[float, Meta(ge=-1e12, le=1e12)]


class Message(Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What every message says of itself.

    v: protocol version. id: UUIDv7, unique. source: the device that made it. boot: one run of that device's process.
    seq: number within that boot; messages that pass the outbox (alarm, state, telemetry, gap) count from 1 without a
    hole, so that a missing number is a missing message; live messages (presence, heartbeat, command, ack) count apart.
    at_ms: the maker's wall clock, Unix milliseconds, which may be wrong. mono_ms: the maker's monotonic clock, which
    tells the age of a message that waited in an outbox. sig: a detached signature, empty until keys exist: the edge
    server's certificate authority will issue them when a device joins (see docs/decisions/).
    """

    v: int = PROTOCOL_VERSION
    id: Annotated[MessageId, Meta(pattern=UUID_PATTERN)]
    source: Annotated[DeviceId, Meta(pattern=SLUG_PATTERN)]
    boot: Annotated[BootId, Meta(pattern=BOOT_PATTERN)]
    seq: Seq
    at_ms: Millis
    mono_ms: Millis
    sig: Annotated[str, Meta(max_length=512)] | None = None


class Estimate(Struct, frozen=True):
    """A figure with its 90 % interval. value is None while only the interval can be told (nothing learnt yet)."""

    value: Finite | None
    low: Finite
    high: Finite
