"""Ids, each a type of its own, and how they are made and checked."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import NewType

from protocol.errors import InvalidId

DeviceId = NewType("DeviceId", str)
BootId = NewType("BootId", str)
MessageId = NewType("MessageId", str)
SiteId = NewType("SiteId", str)
IntersectionId = NewType("IntersectionId", str)
ApproachId = NewType("ApproachId", str)
CameraId = NewType("CameraId", str)
LaneId = NewType("LaneId", str)
PhaseId = NewType("PhaseId", int)
StageId = NewType("StageId", str)

# A DNS label: safe as one level of an MQTT topic, as a file name, as a host name and in a URL.
# `$` alone would let a line feed pass at the end; `\Z` is not known to other languages' patterns.
SLUG_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$(?!\n)"
UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$(?!\n)"
BOOT_PATTERN = r"^[0-9a-f]{16}$(?!\n)"
_SLUG = re.compile(SLUG_PATTERN)


def is_slug(text: str) -> bool:
    return _SLUG.match(text) is not None


def slug(text: str, kind: str = "id") -> str:
    """Return `text` when it may serve as an id, else raise InvalidId (KF10)."""
    if not is_slug(text):
        raise InvalidId(text=text[:80], kind=kind)
    return text


def device_id(text: str) -> DeviceId:
    return DeviceId(slug(text, "device id"))


def new_boot_id(token: Callable[[int], str] = secrets.token_hex) -> BootId:
    """A random name for one run of one process: 16 hexadecimal digits, so that a reused clock can't collide."""
    return BootId(token(8))


def new_message_id(wall_ms: int, random_bits: Callable[[int], int] = secrets.randbits) -> MessageId:
    """A UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, version, 74 random bits.

    wall_ms may come from a wrong clock: uniqueness rests on the random bits, order only helps a reader.
    """
    value = (wall_ms & (1 << 48) - 1) << 80 | 0x7 << 76 | random_bits(12) << 64 | 0b10 << 62 | random_bits(62)
    text = f"{value:032x}"
    return MessageId(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")
