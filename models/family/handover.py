"""Hidden states on their way to another tier: whose they are, where they go on, and a byte a number.

int8 takes one scale a token, its largest number's: x ~ scale * q, q in -127..127 (symmetric absmax). Hidden states are
the question in another form: whatever keeps the question private has to keep them so.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct

from models.engine.port import Facts, Floats
from models.errors import HiddenForeign

Kind = Literal["fp32", "int8"]


class Handover(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, array_like=True):
    """source: the file that both sides were cut from. block: of that whole, where the receiver begins. start: position
    of the first row. width: numbers a row. scales: one float32 a row, for int8. data: rows, one after the other."""

    source: str
    block: int
    start: Annotated[int, Meta(ge=0)]
    width: Annotated[int, Meta(ge=1)]
    kind: Kind
    scales: bytes
    data: bytes


def pack(hidden: Floats, *, source: str, block: int, start: int, kind: Kind = "int8") -> bytes:
    """hidden: rows x width, as a tap behind block - 1 showed them. Raises ValueError for what is not finite."""
    if not np.isfinite(hidden).all():
        raise ValueError("hidden states that are not finite")
    if kind == "fp32":
        data, scales = np.ascontiguousarray(hidden, "<f4").tobytes(), b""
    else:
        largest = np.abs(hidden).max(axis=1, keepdims=True, initial=0)
        scale = np.where(largest > 0, largest / 127, 1).astype("<f4")
        data = np.clip(np.rint(hidden / scale), -127, 127).astype(np.int8).tobytes()
        scales = scale.tobytes()
    one = Handover(source=source, block=block, start=start, width=hidden.shape[1], kind=kind, scales=scales, data=data)
    return msgspec.msgpack.encode(one)


def unpack(data: bytes, facts: Facts, held: int) -> Floats:
    """Rows for `Piece.hidden`. facts: of the engine that goes on; held: tokens that its sequence holds.
    Raises HiddenForeign (KF402)."""
    try:
        one = msgspec.msgpack.decode(data, type=Handover)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HiddenForeign(detail=f"they could not be read: {error}") from error
    if one.source != facts.source:
        raise HiddenForeign(detail=f"they belong to the family file {one.source[:12]}, this one is {facts.source[:12]}")
    if one.block != facts.first_block or one.width != facts.width:
        here = f"block {facts.first_block}, {facts.width} wide"
        raise HiddenForeign(detail=f"they are for block {one.block}, {one.width} wide, and this is {here}")
    if one.start != held:
        raise HiddenForeign(detail=f"they begin at token {one.start}, and {held} are held")
    size = 4 if one.kind == "fp32" else 1
    rows, rest = divmod(len(one.data), one.width * size)
    if rest or not rows or len(one.scales) != (rows * 4 if one.kind == "int8" else 0):
        raise HiddenForeign(detail="their data does not fill whole rows")
    if one.kind == "fp32":
        hidden = np.frombuffer(one.data, "<f4").reshape(rows, one.width).astype(np.float32)
    else:
        scales = np.frombuffer(one.scales, "<f4").reshape(rows, 1)
        hidden = np.frombuffer(one.data, np.int8).reshape(rows, one.width).astype(np.float32) * scales
    if not np.isfinite(hidden).all():
        raise HiddenForeign(detail="they are not finite")
    return hidden
