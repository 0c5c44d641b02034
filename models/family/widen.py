"""Matrices of Q8_0 in F16, so that a step rounds nothing to a byte.

llama.cpp multiplies a matrix of Q8_0 with numbers that it has rounded to a byte each, by groups of 32. However small a
difference in what comes in, some of them then fall on the other side, and with them now and then the likeliest token
(figures: docs/decisions/0018-hidden-states-in-nine-bits.md). With F16 numbers keep 11 bits on the way. The weights stay
what they were to those 11 bits.
"""

from __future__ import annotations

import numpy as np

from models.gguf.kinds import Kind
from models.gguf.writer import Content

GROUP, GROUP_BYTES = 32, 34


def widened(tensor: Content) -> Content:
    """Others as they are. Raises OSError."""
    if tensor.kind is not Kind.Q8_0:
        return tensor
    data = tensor.source
    if not isinstance(data, bytes):
        path, offset = data
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(tensor.size)
    # A group: its scale in F16, and a byte a number (ggml-common.h, block_q8_0).
    groups = np.frombuffer(data, np.uint8).reshape(-1, GROUP_BYTES)
    scales = np.ascontiguousarray(groups[:, :2]).view("<f2").astype(np.float32)
    values = np.ascontiguousarray(groups[:, 2:]).view(np.int8) * scales
    return Content(tensor.name, tensor.shape, Kind.F16, values.astype("<f2").tobytes())
