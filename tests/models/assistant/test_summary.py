"""Summaries: sentences of the text, in order, within the limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.assistant.summary import fitted, newest, sentences, summary

TEXTS = st.lists(
    st.sampled_from(["tram", "bridge.", "closed", "3.5", "kinflow.toml", "Why?", "the", "東京。", "\n", "y" * 50]),
    max_size=80,
).map(" ".join)


@given(text=TEXTS, limit=st.integers(0, 300))
def test_what_is_kept_fits_and_was_said_in_that_order(text: str, limit: int) -> None:
    told = summary(text, limit)
    assert len(told) <= limit
    if len(text) <= limit:
        assert told == text
        return
    said = sentences(text)
    if said and len(said[-1]) <= limit:
        assert told.endswith(said[-1])
        words = iter(text.split())
        assert all(one in words for one in told.split())


@given(text=TEXTS, limit=st.integers(1, 300))
def test_the_newest_part_is_an_end_of_the_text(text: str, limit: int) -> None:
    told = newest(text, limit)
    assert len(told) <= limit
    assert text.rstrip().endswith(told)
    assert told or not text.strip()


@given(text=st.text(max_size=400))
def test_no_word_is_lost_between_sentences(text: str) -> None:
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


def test_the_most_telling_sentence_is_kept_and_told_once() -> None:
    text = "Trams stop at the bridge. I had some soup. Trams stop at the bridge. The bridge is shut. Is it open now?"
    assert summary(text, 45) == "Trams stop at the bridge. Is it open now?"
    assert summary(text, 80).count("Trams") == 1


def test_points_within_words_end_no_sentence() -> None:
    assert sentences("It took 3.5 s. See kinflow.toml! Well") == ["It took 3.5 s.", "See kinflow.toml!", "Well"]


@pytest.mark.parametrize("too_long", ["refuse", "newest", "summarise"])
def test_what_fits_stays_as_it_is(too_long: str) -> None:
    assert fitted(" Is it\nopen? ", 20, too_long) == " Is it\nopen? "  # type: ignore[arg-type]
