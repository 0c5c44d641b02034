"""Write a GGUF: fields, then tensors one after the other, each from bytes or copied from another file."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from models.gguf.fields import Field, encode, encode_text
from models.gguf.header import DEFAULT_ALIGNMENT, MAGIC, VERSIONS
from models.gguf.kinds import Kind, size_of

CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class Content:
    """A tensor's bytes, or where in another file they lie (its path and offset)."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    source: bytes | tuple[Path, int]

    @property
    def size(self) -> int:
        return size_of(self.kind, self.shape)


def write(path: Path, fields: Mapping[str, Field], tensors: Iterable[Content]) -> None:
    """The file appears under its name only when it is whole. Tensors are aligned to 32 bytes. Raises OSError;
    ValueError for bytes that do not fill their tensor."""
    tensors = tuple(tensors)
    fields = {key: field for key, field in fields.items() if key != "general.alignment"}
    head = [MAGIC, struct.pack("<IQQ", VERSIONS[-1], len(tensors), len(fields))]
    head += [encode_text(key) + encode(field) for key, field in fields.items()]
    offset = 0
    for one in tensors:
        head.append(encode_text(one.name) + struct.pack(f"<I{len(one.shape)}Q", len(one.shape), *one.shape))
        head.append(struct.pack("<IQ", one.kind, offset))
        offset += _padded(one.size)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            start = b"".join(head)
            file.write(start + bytes(_padded(len(start)) - len(start)))
            for one in tensors:
                for data in _pieces(one):
                    file.write(data)
                file.write(bytes(_padded(one.size) - one.size))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _padded(size: int) -> int:
    return -(-size // DEFAULT_ALIGNMENT) * DEFAULT_ALIGNMENT


def _pieces(one: Content) -> Iterable[bytes]:
    if isinstance(one.source, bytes):
        if len(one.source) != one.size:
            raise ValueError(f"{one.name} has {len(one.source)} bytes, not {one.size}")
        yield one.source
        return
    place, offset = one.source
    left = one.size
    with place.open("rb") as file:
        file.seek(offset)
        while left:
            data = file.read(min(left, CHUNK_BYTES))
            if not data:
                raise ValueError(f"{place} ends in the middle of {one.name}")
            left -= len(data)
            yield data
