"""Messages to bytes and back, strictly."""

from __future__ import annotations

from functools import cache
from typing import TypeVar

import msgspec

from protocol import PROTOCOL_VERSION
from protocol.errors import (
    MessageMalformed,
    MessageTooLarge,
    MessageVersionUnknown,
    TopicForeign,
)
from protocol.messages import Message
from protocol.topics import DEFAULT_PREFIX, Address, Topic, parse

LIMIT_BYTES = 64 * 1024

M = TypeVar("M", bound=Message)


class _Version(msgspec.Struct):
    v: int


_ENCODER = msgspec.json.Encoder()
_VERSION_DECODER = msgspec.json.Decoder(_Version)


def encode(message: Message) -> bytes:
    return _ENCODER.encode(message)


@cache
def _decoder(messages: tuple[type[Message], ...]) -> msgspec.json.Decoder[Message]:
    union = messages[0]
    for message in messages[1:]:
        union = union | message  # type: ignore[assignment]
    return msgspec.json.Decoder(union)


def decode(topic: Topic[M], payload: bytes, name: str = "") -> M:
    """Read one message of `topic`; every failure is a MessageTooLarge, MessageMalformed or MessageVersionUnknown."""
    where = name or topic.leaf
    if len(payload) > LIMIT_BYTES:
        raise MessageTooLarge(topic=where, size_bytes=len(payload), limit_bytes=LIMIT_BYTES)
    try:
        message = _decoder(topic.messages).decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse_other_version(payload, where)
        raise MessageMalformed(topic=where, detail=str(error)[:200]) from error
    if message.v != PROTOCOL_VERSION:
        raise MessageVersionUnknown(topic=where, version=message.v, supported=PROTOCOL_VERSION)
    return message  # type: ignore[return-value]


def decode_addressed(name: str, payload: bytes, prefix: str = DEFAULT_PREFIX) -> tuple[Address, Message]:
    """Read a message by its topic's name, and check that a device writes below its own id only (TopicForeign)."""
    address = parse(name, prefix)
    message = decode(address.topic, payload, name)
    if address.topic.writer == "device" and message.source != address.device:
        raise TopicForeign(source=message.source, topic=name[:200])
    return address, message


def _refuse_other_version(payload: bytes, where: str) -> None:
    """A message of another version need not parse as ours: say so, rather than that it is malformed."""
    try:
        version = _VERSION_DECODER.decode(payload).v
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if version != PROTOCOL_VERSION:
        raise MessageVersionUnknown(topic=where, version=version, supported=PROTOCOL_VERSION)
