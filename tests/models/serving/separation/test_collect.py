"""Ranges as they come: whole and in order, or none."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import PrefillGarbled
from models.serving.separation.collect import Collected, take
from protocol.kv_frames import Done, Frame, Identity, Part, Ping, Range, Speed

IDENTITY = Identity(fingerprint="a" * 64, memory="full attention", layout="f16", engine="one 1")


def began(end: int = 40) -> Collected:
    return Collected(7, IDENTITY, 0, end, 100)


def ranged(start: int, end: int, size: int, number: int = 7) -> Range:
    return Range(number=number, start=start, end=end, whole=False, size_bytes=size, sha256="c" * 64)


DONE = Done(number=7, end=40, speed=Speed())
GOOD: list[Frame] = [
    ranged(0, 30, 5), Part(data=b"123"), Part(data=b"45"), ranged(30, 40, 2), Part(data=b"67"), DONE,
]  # fmt: skip


def through(frames: list[Frame]) -> tuple[Collected, list[bytes]]:
    state, found = began(), []
    for frame in frames:
        state, portion = take(state, frame)
        if portion is not None:
            found.append(portion.data)
            assert (portion.fingerprint, portion.layout) == (IDENTITY.fingerprint, IDENTITY.layout)
    return state, found


def test_what_comes_as_it_was_sent_is_taken() -> None:
    state, found = through(GOOD)
    assert state.done
    assert found == [b"12345", b"67"]


@pytest.mark.parametrize(
    "frames",
    [
        [ranged(1, 30, 5)],
        [ranged(0, 0, 5)],
        [ranged(0, 41, 5)],
        [ranged(0, 30, 5, number=6)],
        [ranged(0, 30, 3_101)],
        [*GOOD[:3], ranged(0, 30, 5)],
        [*GOOD[:2], ranged(30, 40, 2)],
        [*GOOD[:2], DONE],
        [*GOOD[:3], DONE],
        [*GOOD[:5], Done(number=7, end=30, speed=Speed())],
        [Part(data=b"1")],
        [ranged(0, 30, 5), Part(data=b"123456")],
        [Ping(number=7)],
        [DONE],
    ],
    ids=str,
)
def test_what_does_not_add_up_is_refused(frames: list[Frame]) -> None:
    *before, last = frames
    state, _ = through(before)
    with pytest.raises(PrefillGarbled):
        take(state, last)


@given(st.lists(st.sampled_from([*GOOD, *GOOD, ranged(10, 20, 3), ranged(0, 40, 1), Part(data=b"x")]), max_size=12))
def test_it_is_done_only_when_every_token_is_there_once(frames: list[Frame]) -> None:
    state, covered = began(), 0
    with contextlib.suppress(PrefillGarbled):
        for frame in frames:
            state, portion = take(state, frame)
            if portion is not None:
                assert portion.start == covered
                covered = portion.end
                assert len(portion.data) <= 100 * (portion.end - portion.start + 1)
    assert not state.done or covered == 40
