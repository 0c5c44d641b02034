"""A field of a GGUF's metadata, decoded and encoded without loss."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

Scalar = int | float | bool | str


class FieldType(IntEnum):
    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


PACKED: dict[FieldType, struct.Struct] = {
    FieldType.UINT8: struct.Struct("<B"),
    FieldType.INT8: struct.Struct("<b"),
    FieldType.UINT16: struct.Struct("<H"),
    FieldType.INT16: struct.Struct("<h"),
    FieldType.UINT32: struct.Struct("<I"),
    FieldType.INT32: struct.Struct("<i"),
    FieldType.FLOAT32: struct.Struct("<f"),
    FieldType.BOOL: struct.Struct("<B"),
    FieldType.UINT64: struct.Struct("<Q"),
    FieldType.INT64: struct.Struct("<q"),
    FieldType.FLOAT64: struct.Struct("<d"),
}
_LENGTH = struct.Struct("<Q")
_TYPE = struct.Struct("<I")


@dataclass(frozen=True)
class Field:
    """element: the type of an array's elements, else None. value: a scalar, or a tuple of them. Text that is no UTF-8
    keeps its bytes as lone surrogates."""

    type: FieldType
    value: Scalar | tuple[Scalar, ...]
    element: FieldType | None = None


def text(value: str) -> Field:
    return Field(FieldType.STRING, value)


def whole(value: int) -> Field:
    return Field(FieldType.UINT32, value)


def real(value: float) -> Field:
    return Field(FieldType.FLOAT32, value)


def array(element: FieldType, values: tuple[Scalar, ...]) -> Field:
    return Field(FieldType.ARRAY, values, element)


def encode(field: Field) -> bytes:
    """Type and value, as they stand behind the key."""
    head = _TYPE.pack(field.type)
    if not isinstance(field.value, tuple):
        return head + _scalar(field.type, field.value)
    element = field.element
    if element is None:
        raise ValueError("an array without the type of its elements")
    parts = [head, _TYPE.pack(element), _LENGTH.pack(len(field.value))]
    parts += [_scalar(element, one) for one in field.value]
    return b"".join(parts)


def encode_text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogateescape")
    return _LENGTH.pack(len(data)) + data


def _scalar(kind: FieldType, value: Scalar) -> bytes:
    if kind is FieldType.STRING:
        return encode_text(str(value))
    packed: bytes = PACKED[kind].pack(value)
    return packed
