"""Write small networks as ONNX files, byte by byte: the few fields of its format that a test needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

FLOAT, INT64 = 1, 7
KINDS = {np.dtype(np.float32): FLOAT, np.dtype(np.int64): INT64}
Shape = Sequence[int | str]


@dataclass
class Graph:
    """Built up node by node; a name stands for a tensor."""

    nodes: list[bytes] = field(default_factory=list)
    constants: list[bytes] = field(default_factory=list)
    inputs: list[bytes] = field(default_factory=list)
    outputs: list[bytes] = field(default_factory=list)

    def input(self, name: str, shape: Shape, kind: int = FLOAT) -> str:
        self.inputs.append(_value(name, shape, kind))
        return name

    def output(self, name: str, shape: Shape, kind: int = FLOAT) -> None:
        self.outputs.append(_value(name, shape, kind))

    def constant(self, value: Any, kind: Any = np.float32) -> str:
        array = np.asarray(value, kind)
        name = f"c{len(self.constants)}"
        dims = b"".join(_number(1, one) for one in array.shape)
        self.constants.append(dims + _number(2, KINDS[array.dtype]) + _bytes(8, name) + _bytes(9, array.tobytes()))
        return name

    def add(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        name = out or f"n{len(self.nodes)}"
        named = b"".join(_bytes(5, _attribute(key, value)) for key, value in attributes.items())
        self.nodes.append(b"".join(_bytes(1, one) for one in inputs) + _bytes(2, name) + _bytes(4, kind) + named)
        return name

    def write(self, path: Path) -> Path:
        parts: Mapping[int, list[bytes]] = {1: self.nodes, 5: self.constants, 11: self.inputs, 12: self.outputs}
        graph = _bytes(2, "test") + b"".join(_bytes(tag, one) for tag, ones in parts.items() for one in ones)
        path.write_bytes(_number(1, 8) + _bytes(7, graph) + _bytes(8, _number(2, 13)))
        return path


def _value(name: str, shape: Shape, kind: int) -> bytes:
    dims = b"".join(_bytes(1, _number(1, one) if isinstance(one, int) else _bytes(2, one)) for one in shape)
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, dims)))


def _attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return _bytes(1, name) + _number(3, value) + _number(20, 2)
    return _bytes(1, name) + b"".join(_number(8, one) for one in value) + _number(20, 7)


def _bytes(tag: int, value: bytes | str) -> bytes:
    value = value.encode() if isinstance(value, str) else value
    return _varint(tag << 3 | 2) + _varint(len(value)) + value


def _number(tag: int, value: int) -> bytes:
    return _varint(tag << 3) + _varint(value)


def _varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
