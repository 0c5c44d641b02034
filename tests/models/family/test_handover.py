"""Hidden states on the wire: a byte a number, and nothing foreign gets in."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.engine.port import Facts, Memory
from models.errors import HiddenForeign
from models.family.handover import Handover, Kind, pack, row_bytes, turned, turned_back, unpack

FACTS = Facts(
    fingerprint="b" * 64,
    architecture="llama",
    memory=Memory.FULL,
    vocabulary=300,
    width=8,
    blocks=2,
    context_tokens=64,
    sequences=1,
    source="a" * 64,
    first_block=2,
    whole_blocks=4,
)
rows_of = arrays(np.float32, st.tuples(st.integers(1, 6), st.just(8)), elements=st.floats(-1e4, 1e4, width=32))


@given(hidden=rows_of, start=st.integers(0, 100))
def test_what_is_packed_comes_out_within_half_a_step(hidden: np.ndarray, start: int) -> None:
    exact = unpack(pack(hidden, source="a" * 64, block=2, start=start, kind="fp32"), FACTS, start)
    assert np.array_equal(exact, hidden)
    coarse = unpack(pack(hidden, source="a" * 64, block=2, start=start), FACTS, start)
    # Half a step of each turned number, and turning keeps lengths.
    step = np.abs(turned(hidden)).max(axis=1) / 255
    off = np.linalg.norm(coarse.astype(np.float64) - hidden, axis=1)
    assert (off <= 0.501 * step * np.sqrt(8) + 1e-5 * np.abs(hidden).max(axis=1) + 1e-30).all()


@given(width=st.integers(1, 600), seed=st.integers(0, 9))
def test_turning_keeps_lengths_and_is_taken_back(width: int, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(0, 1, (3, width)).astype(np.float32)
    there = turned(rows)
    assert np.allclose(np.linalg.norm(there, axis=1), np.linalg.norm(rows, axis=1), rtol=1e-5)
    assert np.allclose(turned_back(there), rows, atol=1e-5)


def test_one_large_number_leaves_the_rest_exact() -> None:
    """What turning is for: with one scale for plain numbers the small ones would all be nought."""
    row = np.full((1, 256), 0.01, np.float32)
    row[0, 7] = 30.0
    there = unpack(pack(row, source="a" * 64, block=2, start=0), replace(FACTS, width=256), 0)
    assert np.abs(there - row).max() < 0.01
    assert np.abs(row).max() / 127 > 0.2


def test_rows_are_as_long_as_said() -> None:
    def size(kind: Kind, rows: int) -> int:
        return len(pack(np.ones((rows, 50), np.float32), source="", block=0, start=0, kind=kind))

    for kind in get_args(Kind):
        assert size(kind, 3) - size(kind, 2) == row_bytes(kind, 50)


def test_another_version_is_refused_by_its_name() -> None:
    old = ["a" * 64, 2, 0, 8, "int8", np.ones(3, "<f4").tobytes(), bytes(24)]
    for frame in (old, [3, "what", "comes", "then"]):
        with pytest.raises(HiddenForeign, match="another way"):
            unpack(msgspec.msgpack.encode(frame), FACTS, 0)


@pytest.mark.parametrize(
    ("facts", "held"),
    [
        (replace(FACTS, source="c" * 64), 5),
        (replace(FACTS, first_block=1), 5),
        (replace(FACTS, width=9), 5),
        (FACTS, 4),
    ],
)
def test_a_foreign_hand_over_is_refused(facts: Facts, held: int) -> None:
    sent = pack(np.ones((3, 8), np.float32), source="a" * 64, block=2, start=5)
    with pytest.raises(HiddenForeign):
        unpack(sent, facts, held)


@given(noise=st.binary(max_size=200))
def test_noise_is_refused_in_words(noise: bytes) -> None:
    with pytest.raises(HiddenForeign):
        unpack(noise, FACTS, 0)


@pytest.mark.parametrize(
    "changed",
    [
        {"data": b""},
        {"data": bytes(23)},
        {"scales": bytes(8)},
        {"last_bits": b""},
        {"scales": np.full(3, np.nan, "<f4").tobytes()},
        {"scales": np.full(3, np.inf, "<f4").tobytes(), "data": bytes([1] * 24)},
        {"kind": "fp32"},
        {"start": -1},
    ],
)
def test_what_does_not_add_up_is_refused(changed: dict[str, object]) -> None:
    one = msgspec.msgpack.decode(pack(np.ones((3, 8), np.float32), source="a" * 64, block=2, start=0), type=Handover)
    with pytest.raises(HiddenForeign):
        unpack(msgspec.msgpack.encode(msgspec.structs.replace(one, **changed)), FACTS, 0)


def test_what_is_not_finite_is_not_sent() -> None:
    with pytest.raises(ValueError, match="finite"):
        pack(np.full((1, 8), np.nan, np.float32), source="", block=0, start=0)
