"""Keys and values that come from elsewhere: the library gets none that don't look as its own."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.engine.llama.kv_data import check, shape_of
from models.engine.port import Piece, Portion
from models.errors import StateForeign
from tests.models.engine.conftest import Open

KINDS = [("dense", "f16", True), ("dense", "f32", False), ("dense", "q8_0", True), ("window", "f16", True)]
CELLS_AT = 16


def signed(portion: Portion, data: bytes) -> Portion:
    return replace(portion, data=data, sha256=hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize(("name", "kv", "flash"), KINDS)
def test_what_an_engine_exports_another_one_takes(open_engine: Open, name: str, kv: str, flash: bool) -> None:
    here, there = open_engine(name, kv=kv, flash=flash), open_engine(name, kv=kv, flash=flash)
    tokens = [5 + place % 200 for place in range(50)]
    for begin in range(0, 50, 20):  # beside another sequence, whose cells lie between
        here.decode([Piece(0, tokens[begin : begin + 20]), Piece(1, tokens[:7])])
    for begin, end in ((0, 20), (20, 45), (45, 50)):
        there.adopt(2, here.export(0, begin, end))
    step = here.decode([Piece(0, [9])])[0].logits, there.decode([Piece(2, [9])])[0].logits
    assert np.array_equal(*step) or np.abs(step[0] - step[1]).max() < 0.01


@pytest.mark.parametrize(("kv", "flash"), [("f16", True), ("f32", False), ("q8_0", True)])
@pytest.mark.parametrize("shared", [True, False])
def test_where_the_room_is_shared_and_where_it_is_not_take_from_each_other(
    open_engine: Open, kv: str, flash: bool, shared: bool
) -> None:
    here = open_engine("dense", kv=kv, flash=flash, shared=shared)
    there = open_engine("dense", kv=kv, flash=flash, shared=not shared)
    tokens = [5 + place % 200 for place in range(50)]
    here.decode([Piece(1, tokens), Piece(2, tokens[:9])])
    first, *rest = here.export(1, 0, 10), *here.exports(1, 10, 16)
    there.adopt(3, first)
    there.adopt(3, *rest)
    assert there.length(3) == 42
    here.rollback(1, 42)
    step = here.decode([Piece(1, [9])])[0].logits, there.decode([Piece(3, [9])])[0].logits
    assert np.abs(step[0] - step[1]).max() < 0.01


@pytest.fixture
def portion(open_engine: Open) -> Portion:
    engine = open_engine("dense", kv="f16", flash=True)
    engine.decode([Piece(0, list(range(5, 25)))])
    return engine.export(0)


def test_what_does_not_add_up_is_refused_and_changes_nothing(open_engine: Open, portion: Portion) -> None:
    engine = open_engine("dense", kv="f16", flash=True)
    data = portion.data
    nan = data[:-2] + b"\x00\x7e"
    same_place_twice = data[:CELLS_AT] + data[CELLS_AT : CELLS_AT + 12] + data[CELLS_AT : CELLS_AT + 12]
    same_place_twice += data[CELLS_AT + 24 :]
    far_away = data[:CELLS_AT] + struct.pack("<i", 1 << 30) + data[CELLS_AT + 4 :]
    more_cells = data[:12] + struct.pack("<I", 1 << 31) + data[16:]
    for wrong in (data[:-1], data + b"\0", data[:3], b"\0" * len(data), nan, same_place_twice, far_away, more_cells):
        with pytest.raises(StateForeign):
            engine.adopt(0, signed(portion, wrong))
        assert engine.length(0) == 0
    engine.adopt(0, portion)
    assert engine.length(0) == 20


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
def test_no_bit_of_what_stands_around_the_numbers_may_differ(one_and_twenty, data: st.DataObject) -> None:
    one, twenty = one_and_twenty
    shape = shape_of(one)
    assert shape.token_bytes == (len(twenty) - len(one)) / 19
    check(twenty, shape, 0, 20)
    damaged = bytearray(twenty)
    # All but the numbers of sequences, which the library reads past.
    places = [place for place in range(CELLS_AT + 20 * 12 + 20) if not 4 <= place < 8]
    places = [place for place in places if not (CELLS_AT <= place < CELLS_AT + 240 and (place - CELLS_AT) % 12 >= 8)]
    damaged[data.draw(st.sampled_from(places))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(StateForeign):
        check(bytes(damaged), shape, 0, 20)


@given(st.binary(max_size=400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_refused(one_and_twenty, data: bytes) -> None:
    with pytest.raises(StateForeign):
        check(data, shape_of(one_and_twenty[0]), 0, 20)


@pytest.fixture
def one_and_twenty(open_engine: Open, portion: Portion) -> tuple[bytes, bytes]:
    engine = open_engine("dense", kv="f16", flash=True)
    engine.decode([Piece(0, [5])])
    return engine.export(0).data, portion.data
