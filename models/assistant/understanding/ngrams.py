"""The words of a question and parts of them, hashed: what a small table knows beside the model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from zlib import crc32

from models.assistant.understanding.marked import Part

ROWS = 16384
_WORD = re.compile(r"<\w+>|[^\W\d_]+|\d+|[?!:=]")
MOST_WORDS = 60


def marked_text(text: str, parts: Sequence[Part]) -> str:
    """text: as `plain` gives it. A name becomes its kind in brackets, which nobody's text spells: "<" stays outside."""
    said = [f" <{one.mark}> " if one.mark else text[one.start : one.end].replace("<", " ") for one in parts]
    return "".join(said)


def features(marked: str) -> list[int]:
    """Rows of the table: words, neighbours, words two apart, letters of a word by threes to fives, for slips."""
    words = ["^", *_WORD.findall(marked)[:MOST_WORDS], "$"]
    found = [row for one in words for row in _of_word(one)]
    found += [_row(f"{one} {other}") for one, other in pairwise(words)]
    found += [_row(f"{one} * {other}") for one, other in zip(words, words[2:], strict=False)]
    return found


@lru_cache(8192)
def _of_word(word: str) -> tuple[int, ...]:
    if len(word) < 4 or word.startswith("<"):
        return (_row(word),)
    edged = f"_{word}_"
    parts = {edged[at : at + size] for size in (3, 4, 5) for at in range(len(edged) - size + 1)}
    return (_row(word), *(_row(f"#{one}") for one in sorted(parts)))


def _row(text: str) -> int:
    return crc32(text.encode("utf-8", "replace")) % ROWS
