"""A question as the model reads it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.assistant.understanding.marked import Part, parts_of, plain, tokens_of

LETTERS = 1000


def encode(text: str) -> list[int]:
    """A token a byte."""
    return list(text.encode())


def piece(token: int) -> bytes:
    return bytes([token])


def control(name: str) -> int:
    return LETTERS + len(name)


@given(st.text(max_size=40))
def test_plain_keeps_places(text: str) -> None:
    assert len(plain(text)) == len(text)


def test_a_mark_stands_for_a_name() -> None:
    text = plain("Is CAM 3 ok?")
    tokens = tokens_of(text, parts_of(len(text), [Part(3, 8, "device")]), encode, piece, control)
    assert bytes(one.number for one in tokens if one.number < 256) == b" is ok?"
    [mark] = [one for one in tokens if one.number >= 256]
    assert (mark.number, mark.start, mark.end) == (control("device"), 3, 8)


@given(st.text(min_size=1, max_size=30), st.data())
def test_every_token_tells_its_place(text: str, data: st.DataObject) -> None:
    text = plain(text)
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    tokens = tokens_of(text, parts_of(len(text), [Part(start, end, "approach")]), encode, piece, control)
    assert all(0 <= one.start <= one.end <= len(text) for one in tokens)
    assert [one.start for one in tokens] == sorted(one.start for one in tokens)
    said = bytes(one.number for one in tokens if one.number < 256).decode("utf-8", "replace")
    assert said.replace(" ", "") == (text[:start] + text[end:]).encode("utf-8", "replace").decode().replace(" ", "")
