"""Weights of a byte in F16: the same numbers, to eleven bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.family.widen import widened
from models.gguf.kinds import Kind
from models.gguf.writer import Content

groups_of = arrays(np.int8, st.tuples(st.integers(1, 4), st.just(32)), elements=st.integers(-127, 127))


def packed(groups: np.ndarray, scale: float) -> bytes:
    scales = np.full((len(groups), 1), scale, "<f2").view(np.uint8)
    return np.concatenate((scales, groups.view(np.uint8)), axis=1).tobytes()


@given(groups=groups_of, scale=st.floats(2**-10, 8, width=16))
def test_every_number_stays_to_eleven_bits(groups: np.ndarray, scale: float) -> None:
    wide = widened(Content("a", (32, len(groups)), Kind.Q8_0, packed(groups, scale)))
    assert (wide.kind, wide.shape, wide.size) == (Kind.F16, (32, len(groups)), 64 * len(groups))
    assert isinstance(wide.source, bytes)
    values = np.frombuffer(wide.source, "<f2").astype(np.float64).reshape(groups.shape)
    exact = groups * np.float64(scale)
    assert (np.abs(values - exact) <= np.abs(exact) * 2**-11).all()


def test_it_is_read_where_it_lies_and_others_stay(tmp_path: Path) -> None:
    data = packed(np.arange(64, dtype=np.int8).reshape(2, 32), 0.5)
    (tmp_path / "file").write_bytes(b"before" + data + b"after")
    lying = Content("a", (32, 2), Kind.Q8_0, (tmp_path / "file", 6))
    assert widened(lying) == widened(Content("a", (32, 2), Kind.Q8_0, data))
    other = Content("b", (2,), Kind.F32, bytes(8))
    assert widened(other) is other
