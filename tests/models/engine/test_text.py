"""From pieces of bytes to text: no half letters, and nothing behind a stop."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from models.engine.text import Text


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[begin:end] for begin, end in pairwise(edges)]


@given(text=st.text(), places=st.lists(st.integers(0, 10_000)))
def test_however_it_is_cut_the_text_is_the_same(text: str, places: list[int]) -> None:
    whole = Text()
    parts = [whole.add(piece) for piece in cut(text.encode(), places)]
    assert "".join(parts) + whole.end() == text
    assert "\ufffd" not in "".join(parts) or "\ufffd" in text


@given(
    text=st.text("abc", max_size=30),
    stops=st.lists(st.text("abc", min_size=1, max_size=4), max_size=3),
    places=st.lists(st.integers(0, 100)),
)
def test_it_ends_before_the_first_stop_text(text: str, stops: list[str], places: list[int]) -> None:
    whole, said = Text(stops), ""
    for piece in cut(text.encode(), places):
        said += whole.add(piece)
        if whole.stopped:
            break
        # What was given out never has to be taken back.
        assert text.startswith(said)
    said += whole.end()
    found = [text.find(stop) for stop in stops if stop in text]
    assert whole.stopped == bool(found)
    assert not any(stop in said for stop in stops)
    if not found:
        assert said == text
    if len(stops) == 1 and found:
        assert said == text[: found[0]]


def test_bytes_that_are_no_text_become_marks() -> None:
    text = Text()
    assert text.add(b"\xff\xfea") + text.end() == "\ufffd\ufffda"
    assert Text().add("☂".encode()[:2]) == ""
