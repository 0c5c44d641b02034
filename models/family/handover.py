"""Hidden states on their way to another tier: whose they are, where they go on, and a byte and a bit a number.

A few numbers of a row are much larger than the rest, and one scale for all would leave the rest coarse. So a row is
turned first, by fixed signs and a Hadamard transform, after which its numbers are about equally large (as QuaRot does
with what a model computes, Ashkboos et al., arXiv 2404.00456). Then x ~ turned back (scale * q), q in -255..255,
symmetric: eight bits of q in one plane, its last one in another. Why:
docs/decisions/0018-hidden-states-in-nine-bits.md.

Hidden states are the question in another form: whatever keeps the question private has to keep them so.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from models.engine.port import Facts, Floats
from models.errors import HiddenForeign

VERSION = 2
LARGEST = 255
LONGEST = 256
Kind = Literal["fp32", "int8"]


class Handover(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, array_like=True):
    """v: of this code. source: the file that both sides were cut from. block: of that whole, where the receiver begins.
    start: position of the first row. width: numbers a row. data: rows, one after the other; for int8, of turned rows,
    q >> 1 as a byte each. scales, last_bits: for int8; one float32 a row, and q & 1 of each row, filled up to whole
    bytes, the first one the highest bit."""

    v: int = VERSION
    source: str
    block: int
    start: Annotated[int, Meta(ge=0)]
    width: Annotated[int, Meta(ge=1)]
    kind: Kind
    data: bytes
    scales: bytes = b""
    last_bits: bytes = b""


def row_bytes(kind: Kind, width: int) -> int:
    """Of a row on the wire, without the frame around all of them."""
    return width * 4 if kind == "fp32" else width + -(-width // 8) + 4


def pack(hidden: Floats, *, source: str, block: int, start: int, kind: Kind = "int8") -> bytes:
    """hidden: rows x width, as a tap behind block - 1 showed them. Raises ValueError for what is not finite."""
    rows = hidden if kind == "fp32" else turned(hidden)
    if not np.isfinite(rows).all():
        raise ValueError("hidden states that are not finite")
    width = hidden.shape[1]
    if kind == "fp32":
        data = np.ascontiguousarray(rows, "<f4").tobytes()
        return msgspec.msgpack.encode(
            Handover(source=source, block=block, start=start, width=width, kind=kind, data=data)
        )
    scale = scales_of(rows)
    whole = np.clip(np.rint(rows / scale), -LARGEST, LARGEST).astype(np.int16)
    one = Handover(
        source=source,
        block=block,
        start=start,
        width=width,
        kind=kind,
        data=(whole >> 1).astype(np.int8).tobytes(),
        scales=scale.astype("<f4").tobytes(),
        last_bits=np.packbits((whole & 1).astype(np.uint8), axis=1).tobytes(),
    )
    return msgspec.msgpack.encode(one)


def read(data: bytes) -> Handover:
    """Raises HiddenForeign (KF402) for noise and for another version."""
    try:
        version = msgspec.msgpack.decode(data, type=list[msgspec.Raw])[:1]
        if version and bytes(version[0]) != msgspec.msgpack.encode(VERSION):
            raise HiddenForeign(detail=f"they are packed in another way, this one knows version {VERSION}")
        return msgspec.msgpack.decode(data, type=Handover)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HiddenForeign(detail=f"they could not be read: {error}") from error


def unpack(data: bytes, facts: Facts, held: int) -> Floats:
    """Rows for `Piece.hidden`. facts: of the engine that goes on; held: tokens that its sequence holds.
    Raises HiddenForeign (KF402)."""
    one = read(data)
    if one.source != facts.source:
        raise HiddenForeign(detail=f"they belong to the family file {one.source[:12]}, this one is {facts.source[:12]}")
    if one.block != facts.first_block or one.width != facts.width:
        here = f"block {facts.first_block}, {facts.width} wide"
        raise HiddenForeign(detail=f"they are for block {one.block}, {one.width} wide, and this is {here}")
    if one.start != held:
        raise HiddenForeign(detail=f"they begin at token {one.start}, and {held} are held")
    rows, rest = divmod(len(one.data), one.width * (4 if one.kind == "fp32" else 1))
    coarse = one.kind == "int8"
    if (
        rest
        or not rows
        or len(one.scales) != 4 * rows * coarse
        or len(one.last_bits) != -(-one.width // 8) * rows * coarse
    ):
        raise HiddenForeign(detail="their data does not fill whole rows")
    if one.kind == "fp32":
        hidden = np.frombuffer(one.data, "<f4").reshape(rows, one.width).astype(np.float32)
    else:
        scales = np.frombuffer(one.scales, "<f4").reshape(rows, 1)
        high = np.frombuffer(one.data, np.int8).reshape(rows, one.width).astype(np.float32)
        bits = np.frombuffer(one.last_bits, np.uint8).reshape(rows, -1)
        low = np.unpackbits(bits, axis=1, count=one.width)
        with np.errstate(over="ignore", invalid="ignore"):
            hidden = turned_back((2 * high + low) * scales)
    if not np.isfinite(hidden).all():
        raise HiddenForeign(detail="they are not finite")
    return hidden


def scales_of(rows: Floats) -> Floats:
    """rows x 1."""
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0)
    return np.where(largest > 0, np.maximum(largest / LARGEST, np.finfo(np.float32).tiny), 1).astype(np.float32)


def turned(rows: Floats) -> Floats:
    """rows x width; lengths and angles stay. Stretches are as long as the largest power of two that divides the width,
    LONGEST at most."""
    return _mixed(np.asarray(rows, np.float32) * _signs(rows.shape[1]))


def turned_back(rows: Floats) -> Floats:
    return _mixed(rows) * _signs(rows.shape[1])


def _mixed(rows: Floats) -> Floats:
    """Each stretch of a row by itself; its own inverse."""
    matrix = _hadamard(min(rows.shape[1] & -rows.shape[1], LONGEST))
    return np.asarray((rows.reshape(-1, len(matrix)) @ matrix).reshape(rows.shape), np.float32)


@lru_cache(maxsize=8)
def _hadamard(size: int) -> Floats:
    """Sylvester's, orthonormal; size: a power of two."""
    matrix = np.ones((1, 1), np.float32)
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix * np.float32(size**-0.5)


@lru_cache(maxsize=8)
def _signs(width: int) -> NDArray[np.float32]:
    """Always the same, on every machine."""
    drawn = np.frombuffer(hashlib.shake_256(b"kinflow hand-over").digest(-(-width // 8)), np.uint8)
    return np.unpackbits(drawn, count=width).astype(np.float32) * 2 - 1
