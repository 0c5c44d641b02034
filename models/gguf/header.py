"""What stands before the weights in a GGUF, read strictly: nothing in the file is believed before it fits.

Format: ggml's docs/gguf.md, versions 2 and 3, little-endian. The library that runs weights has a parser of its own, in
C++; a file comes there only when it has passed here.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from models.errors import WeightsUnreadable
from models.gguf.fields import PACKED, Field, FieldType, Scalar
from models.gguf.kinds import Kind, size_of

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
MAX_DIMENSIONS = 4
MAX_NAME_BYTES = 64


@dataclass(frozen=True)
class Tensor:
    """shape: the fastest dimension first. offset: from the file's begin. size: in bytes."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    offset: int
    size: int


@dataclass(frozen=True)
class Header:
    path: Path
    fields: dict[str, Field]
    tensors: dict[str, Tensor]
    alignment: int

    @property
    def architecture(self) -> str:
        return self.text("general.architecture")

    def text(self, key: str, default: str = "") -> str:
        field = self.fields.get(key)
        return str(field.value) if field is not None and field.type is FieldType.STRING else default

    def whole(self, key: str, default: int = 0) -> int:
        """A whole number below the architecture's own prefix, such as block_count."""
        field = self.fields.get(f"{self.architecture}.{key}")
        return field.value if field is not None and isinstance(field.value, int) else default


def read_header(path: Path) -> Header:
    """Raises WeightsUnreadable (KF391) for what is no GGUF, cut off, or inconsistent."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(path, data).header()
    except OSError as error:
        raise WeightsUnreadable(path=path, detail=error.strerror or error) from error
    except ValueError as error:  # mmap's word for an empty file
        raise WeightsUnreadable(path=path, detail=error) from error


class _Reader:
    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path = path
        self._data = data
        self._size = len(data)
        self._at = 0

    def header(self) -> Header:
        if self._take(4) != MAGIC:
            raise self._wrong("it does not begin as a GGUF does")
        version = self._number("<I")
        if version not in VERSIONS:
            raise self._wrong(f"it is of version {version}; {VERSIONS} are known")
        tensors, fields = self._number("<Q"), self._number("<Q")
        # A tensor's entry has at least 33 bytes, a field's 13: more of them than fit are a lie.
        if tensors * 33 + fields * 13 > self._size:
            raise self._wrong(f"it claims {tensors} tensors and {fields} fields, more than it has room for")
        known: dict[str, Field] = {}
        for _ in range(fields):
            key = self._text()
            if key in known:
                raise self._wrong(f"it has {key!r} twice")
            known[key] = self._field(key)
        alignment = self._alignment(known)
        entries = [self._entry() for _ in range(tensors)]
        begin = -(-self._at // alignment) * alignment
        return Header(self._path, known, self._placed(entries, begin, alignment), alignment)

    def _placed(
        self, entries: list[tuple[str, tuple[int, ...], Kind, int]], begin: int, alignment: int
    ) -> dict[str, Tensor]:
        placed: dict[str, Tensor] = {}
        for name, shape, kind, offset in entries:
            try:
                size = size_of(kind, shape)
            except ValueError as error:
                raise self._wrong(f"tensor {name!r}: {error}") from error
            if name in placed:
                raise self._wrong(f"it has tensor {name!r} twice")
            if offset % alignment or begin + offset + size > self._size:
                raise self._wrong(f"tensor {name!r} lies outside of the file, which may be cut off")
            placed[name] = Tensor(name, shape, kind, begin + offset, size)
        ends = 0
        for one in sorted(placed.values(), key=lambda tensor: tensor.offset):
            if one.offset < ends:
                raise self._wrong(f"tensor {one.name!r} overlaps another")
            ends = one.offset + one.size
        return placed

    def _alignment(self, fields: dict[str, Field]) -> int:
        field = fields.get("general.alignment")
        if field is None:
            return DEFAULT_ALIGNMENT
        value = field.value
        if not isinstance(value, int) or isinstance(value, bool) or value < 8 or value & (value - 1) or value > 1 << 16:
            raise self._wrong(f"its alignment is {value!r}")
        return value

    def _entry(self) -> tuple[str, tuple[int, ...], Kind, int]:
        name = self._text()
        if not name or len(name.encode("utf-8", "surrogateescape")) >= MAX_NAME_BYTES:
            raise self._wrong(f"a tensor's name has {len(name)} letters")
        dimensions = self._number("<I")
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            raise self._wrong(f"tensor {name!r} has {dimensions} dimensions")
        shape = tuple(self._number("<Q") for _ in range(dimensions))
        if any(not 0 < length < 1 << 40 for length in shape):
            raise self._wrong(f"tensor {name!r} has the shape {shape}")
        kind = self._number("<I")
        if kind not in Kind._value2member_map_:
            raise self._wrong(f"tensor {name!r} is of kind {kind}, which is not known")
        return name, shape, Kind(kind), self._number("<Q")

    def _field(self, key: str) -> Field:
        kind = self._type(key)
        if kind is not FieldType.ARRAY:
            return Field(kind, self._scalar(kind))
        element = self._type(key)
        if element is FieldType.ARRAY:
            raise self._wrong(f"{key!r} is an array of arrays")
        count = self._number("<Q")
        least = 8 if element is FieldType.STRING else PACKED[element].size
        if count * least > self._size - self._at:
            raise self._wrong(f"{key!r} claims {count} elements, more than there is room for")
        if element is FieldType.STRING:
            return Field(kind, tuple(self._text() for _ in range(count)), element)
        code = PACKED[element].format[1:]
        values: tuple[Scalar, ...] = struct.unpack(f"<{count}{code}", self._take(count * least))
        return Field(kind, tuple(map(bool, values)) if element is FieldType.BOOL else values, element)

    def _type(self, key: str) -> FieldType:
        kind = self._number("<I")
        if kind not in FieldType._value2member_map_:
            raise self._wrong(f"{key!r} is of type {kind}, which is not known")
        return FieldType(kind)

    def _scalar(self, kind: FieldType) -> Scalar:
        if kind is FieldType.STRING:
            return self._text()
        packed = PACKED[kind]
        value: Scalar = packed.unpack(self._take(packed.size))[0]
        return bool(value) if kind is FieldType.BOOL else value

    def _text(self) -> str:
        return self._take(self._number("<Q")).decode("utf-8", "surrogateescape")

    def _number(self, code: str) -> int:
        value: int = struct.unpack(code, self._take(struct.calcsize(code)))[0]
        return value

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > self._size:
            raise self._wrong("it ends in the middle of its header")
        data, self._at = self._data[self._at : end], end
        return data

    def _wrong(self, detail: str) -> WeightsUnreadable:
        return WeightsUnreadable(path=self._path, detail=detail)
