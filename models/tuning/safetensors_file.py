"""Files of the safetensors format: the length of a head (8 bytes, little-endian), the head as JSON (kind, shape and
place of each tensor, and strings under `__metadata__`), then the numbers. No code can hide in them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import TensorsUnreadable
from models.tuning.graph import Array

_KINDS: dict[str, np.dtype[Any]] = {
    "F64": np.dtype(np.float64), "F32": np.dtype(np.float32), "F16": np.dtype(np.float16), "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32), "I8": np.dtype(np.int8), "U8": np.dtype(np.uint8), "BOOL": np.dtype(np.bool_),
}  # fmt: skip
_CODES = {kind: code for code, kind in _KINDS.items()}
_MOST_HEAD_BYTES = 100_000_000
_ALIGNED = 8


def write(path: Path, tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Whole or not at all: an older file of that name stays until the new one is on the disk."""
    head: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    place = 0
    for name, value in tensors.items():
        end = place + value.nbytes
        head[name] = {"dtype": _CODES[value.dtype], "shape": list(value.shape), "data_offsets": [place, end]}
        place = end
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED)
    beside = path.with_name(f".{path.name}.new")
    try:
        with beside.open("wb") as file:
            file.write(len(text).to_bytes(8, "little"))
            file.write(text)
            for value in tensors.values():
                file.write(np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"), copy=False).tobytes())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Tensors and metadata. Raises TensorsUnreadable (KF367) for a file that is not whole or not of this format."""
    try:
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        if len(content) < 8 or length > min(len(content) - 8, _MOST_HEAD_BYTES):
            raise ValueError("its head is cut off")
        head = json.loads(content[8 : 8 + length])
        metadata = {str(key): str(one) for key, one in head.pop("__metadata__", {}).items()}
        data = content[8 + length :]
        return {name: _tensor(one, data) for name, one in head.items()}, metadata
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TensorsUnreadable(path=path, detail=str(error)) from error


def _tensor(entry: Mapping[str, Any], data: bytes) -> Array:
    kind, shape, (start, end) = _KINDS[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"]
    count = int(np.prod(shape, dtype=np.int64))
    if not 0 <= start <= end <= len(data) or end - start != count * kind.itemsize or min(shape, default=0) < 0:
        raise ValueError("a tensor lies outside the file")
    return np.asarray(np.frombuffer(data, kind.newbyteorder("<"), count, start), kind).reshape(shape).copy()
