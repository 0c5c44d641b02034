"""Where free text begins and ends in a question, by the words around it: each word weighs its neighbours in a table.

Training: models/training/kin/spans.py. Words are those of the marked question, so that a name is one word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from models.assistant.tools import Tool
from models.assistant.understanding.marked import Part
from models.engine.port import Floats

ROWS = 16384
LONGEST_WORDS = 40
_WORD = re.compile(r"[^\W_]+(?:['_.-][^\W_]+)*|[^\w\s]")


@dataclass(frozen=True)
class Spoken:
    """text: a word in lower case, a mark of punctuation, or a name's kind in brackets. start, end: where it stands."""

    text: str
    start: int
    end: int

    @property
    def is_word(self) -> bool:
        return self.text[0].isalnum() or self.text[0] == "<" or len(self.text) > 1


def spoken(text: str, parts: Sequence[Part]) -> list[Spoken]:
    """text: as `plain` gives it."""
    found: list[Spoken] = []
    for part in parts:
        if part.mark is not None:
            found.append(Spoken(f"<{part.mark}>", part.start, part.end))
            continue
        found += [Spoken(one[0], one.start(), one.end()) for one in _WORD.finditer(text, part.start, part.end)]
    return found


def begin_rows(said: Sequence[Spoken], place: int, tool: Tool) -> list[int]:
    """Rows of the table for "free text begins with this word"."""
    before = ["^", "^", "^", *(one.text for one in said[:place])][-3:]
    here = said[place].text
    after = said[place + 1].text if place + 1 < len(said) else "$"
    told = (
        f"1 {before[2]}",
        f"2 {before[1]} {before[2]}",
        f"3 {before[0]} {before[1]} {before[2]}",
        f"4 {here}",
        f"5 {before[2]} {here}",
        f"6 {here} {after}",
        f"7 {min(place, 6)}",
        f"8 {min(len(said) - place, 6)}",
        f"9 {before[1]} {before[2]} {here}",
    )
    return [_row(f"b{name} {one}") for one in told for name in ("", tool.value)]


def end_rows(said: Sequence[Spoken], place: int, tool: Tool) -> list[int]:
    """Rows of the table for "free text ends with this word"."""
    after = [*(one.text for one in said[place + 1 :]), "$", "$", "$"][:3]
    here = said[place].text
    before = said[place - 1].text if place else "^"
    told = (
        f"1 {after[0]}",
        f"2 {after[0]} {after[1]}",
        f"3 {after[0]} {after[1]} {after[2]}",
        f"4 {here}",
        f"5 {here} {after[0]}",
        f"6 {before} {here}",
        f"7 {min(len(said) - place, 6)}",
        f"8 {min(place, 6)}",
        f"9 {here} {after[0]} {after[1]}",
    )
    return [_row(f"e{name} {one}") for one in told for name in ("", tool.value)]


def chances(said: Sequence[Spoken], tool: Tool, table: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logarithms of the chance that free text begins, and ends, with each word; a mark of punctuation does neither.
    table: ROWS numbers."""
    scores = []
    for rows_of in (begin_rows, end_rows):
        score = np.array(
            [float(table[rows_of(said, place, tool)].sum()) if one.is_word else -1e4 for place, one in enumerate(said)]
        )
        scores.append(score - score.max() - np.log(np.exp(score - score.max()).sum()))
    return scores[0], scores[1]


def best_span(begins: NDArray[np.float64], ends: NDArray[np.float64]) -> tuple[int, int, float]:
    """First and last word, and how likely they are."""
    both = begins[:, None] + ends[None, :]
    both[~np.triu(np.ones(both.shape, bool))] = -np.inf
    both[np.triu(np.ones(both.shape, bool), LONGEST_WORDS)] = -np.inf
    first, last = np.unravel_index(int(both.argmax()), both.shape)
    raised = np.exp(both - both.max())
    return int(first), int(last), float(1 / raised.sum())


def _row(text: str) -> int:
    return crc32(text.encode("utf-8", "replace")) % ROWS
