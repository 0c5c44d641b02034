"""Contexts that do not fit: refused, or shortened as it was wished."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine.fake import FIRST_BYTE, FakeEngine
from models.errors import ContextTooLong, RequestUnserved
from models.serving.fitting import fitting_chat, fitting_text, fitting_tokens
from models.serving.template import Said

Kind = Literal["newest", "summarise"]
WORDS = st.lists(
    st.sampled_from(["tram", "bridge.", "closed", "is", "the", "naïve", "東京。", "x" * 90, "?", "\n"]), max_size=60
)


def text_of(tokens: list[int]) -> str:
    return bytes(one - FIRST_BYTE for one in tokens if one >= FIRST_BYTE).decode("utf-8", "replace")


@given(texts=st.lists(WORDS, min_size=1, max_size=5), kind=st.sampled_from(["newest", "summarise"]))
def test_a_conversation_always_fits_and_keeps_system_and_question(texts: list[list[str]], kind: Kind) -> None:
    engine, limit = FakeEngine(context_tokens=400), 200
    said = [Said("system", "be short")]
    said += [Said("user" if place % 2 == 0 else "assistant", " ".join(words)) for place, words in enumerate(texts)]
    said.append(Said("user", "Is it open?"))
    tokens = fitting_chat(engine, said, limit, kind)
    assert len(tokens) < limit
    text = text_of(tokens)
    assert "be short" in text
    assert "Is it open?" in text


@given(words=WORDS, kind=st.sampled_from(["newest", "summarise"]))
def test_a_text_and_a_last_message_always_fit(words: list[str], kind: Kind) -> None:
    engine, limit = FakeEngine(context_tokens=400), 100
    text = " ".join(["begin.", *words])
    assert 0 < len(fitting_text(engine, text, limit, kind)) < limit
    assert 0 < len(fitting_chat(engine, [Said("user", text)], limit, kind)) < limit


def test_a_summary_of_what_was_said_keeps_what_tells_most() -> None:
    engine = FakeEngine(context_tokens=800)
    older = "The tram bridge is closed. I had soup with much bread and butter for lunch. The tram waits at the bridge."
    said = [Said("user", older), Said("assistant", "Noted. " * 40), Said("user", "When does the bridge open?")]
    text = text_of(fitting_chat(engine, said, 150, "summarise"))
    assert "tram bridge" in text
    assert "soup" not in text
    assert text.endswith("When does the bridge open?\nassistant:")


def test_a_megabyte_is_shortened_as_well() -> None:
    engine = FakeEngine(context_tokens=400)
    for kind in ("newest", "summarise"):
        assert len(fitting_text(engine, "so much to say. " * 65_000, 200, kind)) < 200


def test_what_may_not_be_shortened_is_refused_with_the_excess() -> None:
    engine = FakeEngine(context_tokens=400)
    with pytest.raises(ContextTooLong) as told:
        fitting_text(engine, "y" * 150, 100, "refuse")
    assert told.value.fields["excess_tokens"] == 52
    with pytest.raises(ContextTooLong):
        fitting_chat(engine, [Said("system", "s" * 300), Said("user", "and?")], 200, "summarise")
    with pytest.raises(RequestUnserved, match="tokens"):
        fitting_tokens([3] * 150, 100, "summarise")
    assert fitting_tokens(list(range(150)), 100, "newest") == list(range(51, 150))
