"""Hidden states on the wire: a byte a number, and nothing foreign gets in."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.engine.port import Facts, Memory
from models.errors import HiddenForeign
from models.family.handover import Handover, pack, unpack

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
    step = np.abs(hidden).max(axis=1, keepdims=True) / 127
    assert (np.abs(coarse - hidden) <= step * 0.501 + 1e-6).all()


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
