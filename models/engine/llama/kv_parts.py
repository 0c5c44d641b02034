"""Ranges cut out of a context's data, and put together again: pure, and no library in it.

Where each sequence has a stretch of memory of its own, the library can neither copy a range to another sequence nor put
one behind what is held. Its data can: it holds each token's keys and values by themselves (kv_data.py has the form).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.engine.llama.kv_data import CELL, Cache, Reader, Rows, Shape

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class _Held:
    """What one cache holds. cells: of each token. rows: of each of the cache's Rows, tokens x bytes, or numbers x
    tokens x bytes where they are transposed."""

    cells: NDArray[np.void]
    rows: tuple[Bytes, ...]


@dataclass(frozen=True)
class Parts:
    """shape: of a context here. head: magic and sequence."""

    shape: Shape
    head: bytes
    held: tuple[_Held, ...]

    @classmethod
    def read(cls, data: bytes | memoryview, shape: Shape) -> Parts:
        """Of any number of streams, of which one holds tokens. Raises StateForeign (KF396) where it is cut short."""
        reader = Reader(data)
        head = bytes(reader.take(8))
        return cls(shape, head, tuple(_read(reader, cache) for cache in shape.caches))

    def cut(self, begin: int, end: int) -> Parts:
        """Tokens begin..end alone; no number is copied where they lie side by side."""
        return Parts(self.shape, self.head, tuple(_cut(one, begin, end) for one in self.held))

    def data(self, streams: int = 1) -> bytes:
        """As the library reads it. streams: that its memory has."""
        pieces: list[Any] = [self.head]  # bytes, and arrays, which give theirs without a copy
        for cache, held in zip(self.shape.caches, self.held, strict=True):
            pieces += [struct.pack("<II", streams, len(held.cells)), held.cells.tobytes()]
            pieces.append(struct.pack("<II", cache.transposed, cache.blocks))
            for rows, numbers in zip(cache.rows, held.rows, strict=True):
                pieces += [rows.head, np.ascontiguousarray(numbers).reshape(-1)]
            pieces.append(bytes(4 * (streams - 1)))
        return b"".join(pieces)


def joined(parts: Sequence[Parts]) -> Parts:
    """One behind the other."""
    first = parts[0]
    if len(parts) == 1:
        return first
    held = tuple(
        _Held(
            np.concatenate([one.held[number].cells for one in parts]),
            tuple(
                np.concatenate([one.held[number].rows[place] for one in parts], axis=int(rows.transposed))
                for place, rows in enumerate(cache.rows)
            ),
        )
        for number, cache in enumerate(first.shape.caches)
    )
    return Parts(first.shape, first.head, held)


def _read(reader: Reader, cache: Cache) -> _Held:
    [streams] = reader.whole("I")
    found = _Held(np.empty(0, CELL), tuple(_numbers(b"", rows, 0) for rows in cache.rows))
    for _ in range(streams):
        [count] = reader.whole("I")
        if count:
            cells = np.frombuffer(reader.take(count * CELL.itemsize), CELL)
            reader.take(8)
            found = _Held(cells, tuple(_taken(reader, rows, count) for rows in cache.rows))
    return found


def _taken(reader: Reader, rows: Rows, count: int) -> Bytes:
    reader.take(len(rows.head))
    return _numbers(reader.take(count * rows.cell_bytes), rows, count)


def _numbers(data: bytes | memoryview, rows: Rows, count: int) -> Bytes:
    numbers = np.frombuffer(data, np.uint8)
    if not rows.transposed:
        return numbers.reshape(count, rows.cell_bytes)
    return numbers.reshape(rows.cell_bytes // rows.number_bytes, count, rows.number_bytes)


def _cut(held: _Held, begin: int, end: int) -> _Held:
    positions = held.cells["position"]
    found = np.flatnonzero((positions >= begin) & (positions < end))
    side_by_side = len(found) and found[-1] - found[0] + 1 == len(found)
    where: slice | NDArray[np.intp] = slice(int(found[0]), int(found[-1]) + 1) if side_by_side else found
    return _Held(
        held.cells[where], tuple(one[where] if one.ndim == 2 else one[:, where] for one in held.rows)
    )  # fmt: skip
