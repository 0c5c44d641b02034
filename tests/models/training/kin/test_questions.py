"""Where training's questions come from: phrases by hand, the grammar, names of sites. None of it needs torch."""

from __future__ import annotations

import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.assistant.tools import OPTIONAL, REQUIRED, STATUSES, Tool
from models.training.kin.drawing import Drawing
from models.training.kin.filled import filled
from models.training.kin.grammar import Grammar
from models.training.kin.lessons import NO_SPAN, TOOLS, Phrase, lesson
from models.training.kin.names import site
from models.training.kin.tokenizer import CONTROL, Tokenizer, learn, split_words


@cache
def drawing() -> Drawing:
    return Drawing.shipped()


@cache
def tokenizer() -> Tokenizer:
    return learn((f" {one.question.lower()}" for one in drawing().phrases), 900)


@given(st.text(max_size=60))
def test_tokens_spell_the_text_and_never_control(text: str) -> None:
    tokens = tokenizer().encode(text)
    assert tokenizer().decode(tokens) == text.encode("utf-8", "replace").decode()
    assert all(one >= len(CONTROL) for one in tokens)
    assert "".join(split_words(text)) == text


def test_a_vocabulary_follows_from_its_texts() -> None:
    texts = ["the road is free", "the road is jammed", "roads are free"] * 3
    one, other = learn(texts, 300), learn(texts, 300)
    assert one.merges == other.merges
    assert len(one.encode(" road")) < len(" road")


def test_control_tokens_have_fixed_places() -> None:
    assert [tokenizer().control(name[2:-2]) for name in CONTROL] == list(range(len(CONTROL)))


def test_every_phrase_teaches_what_it_says() -> None:
    for phrase in drawing().phrases:
        one = lesson(phrase, tokenizer())
        assert TOOLS[one.tool] == phrase.tool
        assert set(REQUIRED[phrase.tool]) <= set(phrase.arguments)
        assert set(phrase.arguments) <= set(REQUIRED[phrase.tool]) | set(OPTIONAL.get(phrase.tool, {}))
        if phrase.span:
            assert 0 < one.begin <= one.end < one.question, phrase.question
            tokens = one.tokens[one.begin : one.end + 1]
            said = tokenizer().decode(tokens).strip()
            # A name or a length of time has a mark in its place, which is no text.
            marked = any(token < len(CONTROL) for token in tokens)
            assert said in phrase.span.lower() or phrase.span.lower() in said or marked
        else:
            assert one.begin == one.end == NO_SPAN


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from(list(Tool)))
def test_the_grammar_speaks_of_what_its_arguments_name(seed: int, tool: Tool) -> None:
    phrase = Grammar.shipped().phrase(random.Random(seed), tool)
    assert phrase.tool == tool
    assert not set("()[]|$<>") & set(phrase.question.replace("->", ""))
    for name, value in phrase.arguments.items():
        if name == "status":
            assert value in STATUSES
        elif isinstance(value, str) and not value.startswith("{"):
            assert value in phrase.question
    if tool in (Tool.GET_CONGESTION, Tool.GET_SIGNAL):
        assert "{intersection}" in phrase.question


def test_every_rule_can_be_said() -> None:
    grammar = Grammar.shipped()
    for rule in grammar.rules:
        assert grammar.expand(rule.text, random.Random(1))


@pytest.mark.parametrize("seed", range(20))
def test_a_filled_phrase_speaks_of_its_site(seed: int) -> None:
    chance = random.Random(seed)
    phrase = Phrase("how is {approach} at {intersection}", Tool.GET_CONGESTION,
                    {"intersection": "{intersection}", "approach": "{approach}"})  # fmt: skip
    row = filled(phrase, chance)
    assert row["arguments"]["intersection"] in row["entities"]["intersections"]
    assert row["arguments"]["approach"] in row["entities"]["approaches"]
    assert "{" not in row["question"]
    for names in site(chance).values():
        assert len({name.lower() for name in names}) == len(names)
