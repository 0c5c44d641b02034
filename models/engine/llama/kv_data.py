"""Keys and values as llama.cpp writes them (llama-kv-cache.cpp, state_write), read by ourselves before it reads them.

The library trusts positions and numbers that come from elsewhere; what does not look exactly as a context of its own
must not reach it. How that looks is learnt from one token (`shape_of`).

    magic, sequence                                                        i32 each
    for each cache (a sliding window has two: all blocks that see everything, all that don't)
        streams (1 in portions), cells of each; what follows, of the one that holds some     u32 each
        of each cell: position, sequences (1), sequence                    i32 each
        transposed, blocks                                                 u32 each
        of each block: type i32, bytes of a row u64, then a row a cell     (keys)
        of each block: the same                                            (values)
            or, transposed: type i32, bytes of a number u32, numbers of a row u32, then a column after the other
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import StateForeign

F32, F16, Q8_0 = 0, 1, 8
# Of a block of Q8_0: a scale in F16, and 32 numbers.
Q8_0_BYTES = 34
CELL = np.dtype([("position", "<i4"), ("sequences", "<u4"), ("sequence", "<i4")])


@dataclass(frozen=True)
class Rows:
    """Keys or values of one block. head: what stands before them. type: ggml's. cell_bytes: of one token.
    number_bytes: of one number of it, where they are transposed; else 0."""

    head: bytes
    type: int
    cell_bytes: int
    number_bytes: int = 0

    @property
    def transposed(self) -> bool:
        return self.number_bytes > 0


@dataclass(frozen=True)
class Cache:
    """transposed, blocks: as written. rows: all keys, then all values."""

    transposed: int
    blocks: int
    rows: tuple[Rows, ...]


@dataclass(frozen=True)
class Shape:
    """magic: that data begins with. token_bytes: that a token takes where every cache holds it."""

    magic: bytes
    caches: tuple[Cache, ...]

    @property
    def token_bytes(self) -> int:
        return sum(CELL.itemsize + sum(one.cell_bytes for one in cache.rows) for cache in self.caches)


def shape_of(data: bytes | memoryview, streams: int = 1, tokens: int = 1) -> Shape:
    """data: some tokens of a context of our own, of which no window has forgotten any. streams: that its memory has;
    one of them holds the tokens. Raises StateForeign (KF396) for a memory of another form."""
    reader = Reader(data)
    magic = bytes(reader.take(4))
    reader.take(4)
    caches = []
    while reader.left:
        if reader.whole("I") != (streams,):
            raise StateForeign(detail="this memory's form is not known here")
        others = next((number for number in range(streams) if reader.whole("I") == (tokens,)), None)
        if others is None:
            raise StateForeign(detail="this memory's form is not known here")
        behind = 4 * (streams - others - 1)
        reader.take(tokens * CELL.itemsize)
        transposed, blocks = reader.whole("II")
        keys = tuple(_learnt(reader, tokens, transposed=False) for _ in range(blocks))
        # Where keys and values are one (latent attention), no values follow.
        only_keys = reader.left <= behind
        values = () if only_keys else tuple(_learnt(reader, tokens, transposed=bool(transposed)) for _ in range(blocks))
        reader.take(behind)
        caches.append(Cache(transposed, blocks, keys + values))
    return Shape(magic, tuple(caches))


def check(data: bytes, shape: Shape, start: int, end: int) -> None:
    """Whether these are keys and values of the tokens start..end, and nothing beside: raises StateForeign (KF396)."""
    reader = Reader(data)
    if reader.take(4) != shape.magic:
        raise StateForeign(detail="it does not begin as keys and values do")
    reader.take(4)
    for number, cache in enumerate(shape.caches):
        _check_cache(reader, cache, start, end, windowed=number > 0)
    if reader.left:
        raise StateForeign(detail=f"{reader.left} bytes too many")


def _check_cache(reader: Reader, cache: Cache, start: int, end: int, *, windowed: bool) -> None:
    streams, count = reader.whole("II")
    # A window's cache may have forgotten the oldest; the other one holds every token.
    if streams != 1 or not (1 <= count <= end - start) or not (windowed or count == end - start):
        raise StateForeign(detail=f"{count} tokens where {end - start} were to be")
    cells = np.frombuffer(reader.take(count * CELL.itemsize), CELL)
    if not np.array_equal(np.sort(cells["position"]), np.arange(end - count, end)) or (cells["sequences"] != 1).any():
        raise StateForeign(detail=f"its positions are not {end - count} to {end}")
    if reader.whole("II") != (cache.transposed, cache.blocks):
        raise StateForeign(detail="its blocks are laid out in another way")
    for rows in cache.rows:
        if reader.take(len(rows.head)) != rows.head:
            raise StateForeign(detail="its numbers are of another kind or width")
        if not _finite(reader.take(count * rows.cell_bytes), rows.type):
            raise StateForeign(detail="among its numbers are some that are none")


def _finite(data: memoryview, kind: int) -> bool:
    if kind == F16:
        return _finite_halves(np.frombuffer(data, "<u2"))
    if kind == F32:
        return bool(np.isfinite(np.frombuffer(data, "<f4")).all())
    if kind == Q8_0 and not len(data) % Q8_0_BYTES:
        return _finite_halves(np.frombuffer(data, np.dtype([("scale", "<u2"), ("rest", "V32")]))["scale"])
    return True


def _finite_halves(bits: NDArray[np.uint16]) -> bool:
    """By their exponent: numpy has no fast way with halves."""
    return not bool(((bits & 0x7C00) == 0x7C00).any())


def _learnt(reader: Reader, tokens: int, *, transposed: bool) -> Rows:
    if transposed:
        head = bytes(reader.take(12))
        kind, element, width = struct.unpack("<iII", head)
        rows = Rows(head, kind, element * width, element)
    else:
        head = bytes(reader.take(12))
        kind, size = struct.unpack("<iQ", head)
        rows = Rows(head, kind, size)
    reader.take(tokens * rows.cell_bytes)
    return rows


class Reader:
    def __init__(self, data: bytes | memoryview) -> None:
        self._data, self._at = memoryview(data), 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> memoryview:
        if size > self.left:
            raise StateForeign(detail="it is cut short")
        self._at += size
        return self._data[self._at - size : self._at]

    def whole(self, kinds: str) -> tuple[int, ...]:
        return struct.unpack(f"<{kinds}", self.take(4 * len(kinds)))
