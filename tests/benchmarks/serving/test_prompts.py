"""Prompts of exactly so many tokens, for vocabularies that nobody has looked into."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.serving.prompts import Words, learn


def bytewise(text: str) -> int:
    return 1 + len(text.encode())


def gpt_like(text: str) -> int:
    """A word with the space before it is one token, a mark is one."""
    return len(re.findall(r" ?\w+| ?[^\w\s]+|\s+", text))


def templated(text: str) -> int:
    return 23 + gpt_like(text)


def uneven(text: str) -> int:
    """As a small vocabulary: some letters go with the space before them, others do not."""
    return 2 + sum(1 if word in "abcdeghiknorst" else 2 for word in text.replace(".", " . ").split())


COUNTS: list[Callable[[str], int]] = [bytewise, gpt_like, templated, uneven]


def learnt(count: Callable[[str], int]) -> Words:
    async def asked(text: str) -> int:
        return count(text)

    return asyncio.run(learn(asked))


WORDS = {count.__name__: learnt(count) for count in COUNTS}


@pytest.mark.parametrize("count", COUNTS, ids=lambda one: one.__name__)
@given(tokens=st.integers(40, 3_000), seed=st.integers())
@settings(max_examples=30)
def test_as_many_as_wanted(count: Callable[[str], int], tokens: int, seed: int) -> None:
    words = WORDS[count.__name__]
    assert words.reach(tokens) == tokens
    text = words.text(tokens, seed)
    assert count(text) == tokens
    # Nothing that a prefix cache could keep: they part within the first few words.
    other = words.text(tokens, seed + 1)
    assert text[:30] != other[:30]


@pytest.mark.parametrize("count", COUNTS, ids=lambda one: one.__name__)
def test_what_is_too_short_has_one_word(count: Callable[[str], int]) -> None:
    words = WORDS[count.__name__]
    assert count(words.text(0, 1)) == words.reach(0) == words.fixed + words.unit


@pytest.mark.parametrize("count", COUNTS, ids=lambda one: one.__name__)
@given(tokens=st.integers(40, 500), shared=st.integers(0, 10), seed=st.integers(0, 3))
@settings(max_examples=30)
def test_equal_blocks_are_equal_text(count: Callable[[str], int], tokens: int, shared: int, seed: int) -> None:
    words, size = WORDS[count.__name__], 32
    blocks = list(range(-(-tokens // size)))
    shared = min(shared, len(blocks))
    other = blocks[:shared] + [1_000 + one for one in blocks[shared:]]
    first, second = (words.of_blocks(tokens, ids, size, seed, "rest") for ids in (blocks, other))
    assert count(first) == count(second) == tokens
    whole = max(0, min(tokens, shared * size) - words.fixed) // words.unit
    assert first.split()[:whole] == second.split()[:whole] or whole == 0
    if shared < len(blocks) - 1:
        assert first != second


def test_what_no_block_says_is_ones_own() -> None:
    words = WORDS["gpt_like"]
    first, second = (words.of_blocks(100, [7], 32, 1, rest) for rest in ("a", "b"))
    assert first.split()[:32] == second.split()[:32]
    assert first.split()[32:] != second.split()[32:]
    assert gpt_like(first) == gpt_like(second) == 100
