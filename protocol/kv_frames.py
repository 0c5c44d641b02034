"""What a prefill worker and whoever goes on from its keys and values say to each other: frames over TCP, each sealed
(protocol/kv_seal.py), MessagePack inside, small and strict.

Ready comes first, from the worker. Then Ping -> Pong at any time, and Ask -> Range, Part, Part, ..., Range, ..., Done,
or Refusal. A range's bytes come in parts, so that nobody has to take more at once than a frame may hold.
"""

from __future__ import annotations

import struct
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from protocol.errors import MessageMalformed, MessageTooLarge

VERSION = 1
PART_BYTES = 1 << 20
# A part, and what stands around it.
LIMIT_BYTES = PART_BYTES + 4096
MOST_TOKENS = 200_000
MOST_RANGE_BYTES = 256 << 20
MOST_PROBE_BYTES = PART_BYTES
LENGTH = struct.Struct(">I")
TOPIC = "kv"

Count = Annotated[int, Meta(ge=0, le=1 << 31)]
Seconds = Annotated[float, Meta(ge=0.0, le=1e9)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Short = Annotated[str, Meta(max_length=200)]


class _Frame(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What all of them are."""


class Identity(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What keys and values are bound to: fingerprint of the weights, and of the file that those were cut from; memory:
    its kind; layout: types, fused attention, windows; engine: name and version of what computes."""

    fingerprint: Sha256
    source: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""
    memory: Short
    layout: Short
    engine: Short

    def differences(self, other: Identity) -> list[str]:
        """Names of what is not the same."""
        names = self.__struct_fields__
        return [name for name in names if getattr(self, name) != getattr(other, name)]


class Speed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As measured: a step takes step_s + row_s a row + pair_s x rows x (context + rows / 2). Zeroes: not known."""

    step_s: Seconds = 0.0
    row_s: Seconds = 0.0
    pair_s: Seconds = 0.0

    def seconds(self, rows: int, context: int) -> float:
        return self.step_s + self.row_s * rows + self.pair_s * rows * (context + rows / 2)


class Ready(_Frame, frozen=True, kw_only=True, tag="ready"):
    """limit_tokens: the longest prompt. bytes_per_token: of keys and values, as measured."""

    identity: Identity
    limit_tokens: Count
    bytes_per_token: Annotated[float, Meta(ge=0.0, le=1e9)]
    speed: Speed


class Ping(_Frame, frozen=True, kw_only=True, tag="ping"):
    """size_bytes: of the answer, to measure the link by."""

    number: Count
    size_bytes: Annotated[int, Meta(ge=0, le=MOST_PROBE_BYTES)] = 0


class Pong(_Frame, frozen=True, kw_only=True, tag="pong"):
    number: Count
    speed: Speed
    filling: Annotated[bytes, Meta(max_length=MOST_PROBE_BYTES)] = b""


class Ask(_Frame, frozen=True, kw_only=True, tag="ask"):
    """tokens: uint32, little-endian: the whole prompt. All but its last are computed, `rows` in a step; what stands
    behind the first `start` is sent."""

    number: Count
    identity: Identity
    tokens: Annotated[bytes, Meta(max_length=4 * MOST_TOKENS)]
    start: Count = 0
    rows: Annotated[int, Meta(ge=1, le=8192)] = 256


class Range(_Frame, frozen=True, kw_only=True, tag="range"):
    """Keys and values of tokens start..end, in the engine's own form; size_bytes of them follow in parts. whole: as
    `Portion` has it."""

    number: Count
    start: Count
    end: Count
    whole: bool
    size_bytes: Annotated[int, Meta(ge=1, le=MOST_RANGE_BYTES)]
    sha256: Sha256


class Part(_Frame, frozen=True, kw_only=True, tag="part"):
    data: Annotated[bytes, Meta(min_length=1, max_length=PART_BYTES)]


class Done(_Frame, frozen=True, kw_only=True, tag="done"):
    """end: up to where ranges were sent."""

    number: Count
    end: Count
    speed: Speed


class Refusal(_Frame, frozen=True, kw_only=True, tag="refusal"):
    """code: of the worker's catalogue."""

    number: Count
    code: Annotated[str, Meta(max_length=16)]
    detail: Annotated[str, Meta(max_length=400)]


Frame = Ready | Ping | Pong | Ask | Range | Part | Done | Refusal
_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


def encode(frame: Frame) -> bytes:
    return _ENCODER.encode(frame)


def decode(data: bytes) -> Frame:
    """Raises MessageTooLarge (KF12), MessageMalformed (KF11)."""
    check_size(len(data))
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageMalformed(topic=TOPIC, detail=str(error)[:200]) from error


def check_size(size_bytes: int) -> None:
    """Raises MessageTooLarge (KF12)."""
    if size_bytes > LIMIT_BYTES:
        raise MessageTooLarge(topic=TOPIC, size_bytes=size_bytes, limit_bytes=LIMIT_BYTES)


def packed(tokens: list[int] | tuple[int, ...]) -> bytes:
    return struct.pack(f"<{len(tokens)}I", *tokens)


def unpacked(tokens: bytes) -> list[int]:
    """Raises MessageMalformed (KF11)."""
    if len(tokens) % 4:
        raise MessageMalformed(topic=TOPIC, detail=f"{len(tokens)} bytes are no whole number of tokens")
    return list(struct.unpack(f"<{len(tokens) // 4}I", tokens))
