"""Numbers of a tensor in a GGUF, whatever kind it is kept in; ggml's own tables say how (ggml.h, ggml_type_traits)."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.engine.llama.library import library
from models.errors import WeightsUnreadable
from models.gguf.header import Tensor
from models.gguf.kinds import Kind

Floats = NDArray[np.float32]
_PLAIN = {Kind.F32: np.float32, Kind.F16: np.float16, Kind.F64: np.float64}
_ToFloat = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


class _Traits(ctypes.Structure):
    _fields_ = (
        ("type_name", ctypes.c_char_p),
        ("block", ctypes.c_int64),
        ("block_interleaved", ctypes.c_int64),
        ("type_size", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.c_void_p),
        ("from_float", ctypes.c_void_p),
    )


def floats(path: Path, tensor: Tensor) -> Floats:
    """In numpy's order, the fastest dimension last. Raises WeightsUnreadable (KF391) for kinds that can't be
    unpacked, EngineMissing (KF390) for packed ones without llama.cpp, and OSError."""
    with path.open("rb") as file:
        file.seek(tensor.offset)
        data = file.read(tensor.size)
    shape = tuple(reversed(tensor.shape))
    if tensor.kind in _PLAIN:
        return np.frombuffer(data, _PLAIN[tensor.kind]).astype(np.float32).reshape(shape)
    describe = library().ggml.ggml_get_type_traits
    describe.argtypes, describe.restype = [ctypes.c_int], ctypes.POINTER(_Traits)
    traits = describe(int(tensor.kind)).contents
    if not traits.to_float:
        raise WeightsUnreadable(path=path, detail=f"tensor {tensor.name!r} is of kind {tensor.kind.name}: no numbers")
    found: Floats = np.empty(shape, np.float32)
    _ToFloat(traits.to_float)(data, found.ctypes.data, found.size)
    return found
