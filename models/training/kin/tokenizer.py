"""Byte-level byte-pair encoding, as llama.cpp reads it from a GGUF under the name gpt-2.

Sennrich et al., "Neural machine translation of rare words with subword units" (2016), over bytes as in GPT-2 (Radford
et al., 2019). Training counts words once and keeps the counts of pairs up to date, so that it takes seconds.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

# Before all others, in this order: what no text can spell. The marks stand for a mention of the site's own names.
CONTROL = (
    "<|pad|>", "<|begin|>", "<|end|>", "<|user|>", "<|kin|>", "<|tool|>", "<|result|>",
    "<|intersection|>", "<|device|>", "<|approach|>", "<|setting|>", "<|duration|>",
)  # fmt: skip


def _class(letter: str) -> str:
    """Every code point of a general category, as ranges for a regular expression."""
    points = [one for one in range(sys.maxunicode + 1) if unicodedata.category(chr(one))[0] == letter]
    ranges: list[list[int]] = []
    for one in points:
        if ranges and one == ranges[-1][1] + 1:
            ranges[-1][1] = one
        else:
            ranges.append([one, one])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


@cache
def _splitter() -> re.Pattern[str]:
    letters, numbers = _class("L"), _class("N")
    return re.compile(
        f"'s|'t|'re|'ve|'m|'ll|'d| ?[{letters}]+| ?[{numbers}]+| ?[^\\s{letters}{numbers}]+|\\s+(?!\\S)|\\s+"
    )


@cache
def spelling() -> dict[int, str]:
    """By byte, the letter that stands for it in a vocabulary: printable ones for themselves, GPT-2's way."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [one for one in range(256) if one not in plain]
    return {one: chr(one) for one in plain} | {one: chr(256 + place) for place, one in enumerate(others)}


def split_words(text: str) -> list[str]:
    return _splitter().findall(text)


class Tokenizer:
    """merges: pairs of parts in the order in which they were learnt."""

    def __init__(self, merges: Sequence[tuple[str, str]]) -> None:
        self.merges = tuple(merges)
        letters = spelling()
        self.tokens = (*CONTROL, *(letters[one] for one in range(256)), *(a + b for a, b in self.merges))
        self._ids = {token: place for place, token in enumerate(self.tokens)}
        self._ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        back = {letter: byte for byte, letter in letters.items()}
        self._bytes = [b""] * len(CONTROL)
        self._bytes += [bytes(back[letter] for letter in token) for token in self.tokens[len(CONTROL) :]]
        self._known: dict[str, tuple[int, ...]] = {}

    def encode(self, text: str) -> list[int]:
        """Never a control token, whatever the text spells."""
        found: list[int] = []
        for word in split_words(text):
            tokens = self._known.get(word)
            if tokens is None:
                tokens = self._known[word] = self._word(word)
            found.extend(tokens)
        return found

    def control(self, name: str) -> int:
        return self._ids[f"<|{name}|>"]

    def piece(self, token: int) -> bytes:
        return self._bytes[token]

    def decode(self, tokens: Iterable[int]) -> str:
        return b"".join(map(self.piece, tokens)).decode("utf-8", "replace")

    def _word(self, word: str) -> tuple[int, ...]:
        letters = spelling()
        parts = [letters[one] for one in word.encode("utf-8", "replace")]
        while len(parts) > 1:
            rank, place = min(
                (self._ranks.get(pair, len(self._ranks)), place) for place, pair in enumerate(pairwise(parts))
            )
            if rank == len(self._ranks):
                break
            parts[place : place + 2] = [parts[place] + parts[place + 1]]
        return tuple(self._ids[part] for part in parts)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({"merges": [list(pair) for pair in self.merges]}))

    @staticmethod
    def load(path: Path) -> Tokenizer:
        return Tokenizer([(a, b) for a, b in json.loads(path.read_text())["merges"]])


def learn(texts: Iterable[str], size: int, *, least: int = 2) -> Tokenizer:
    """size: of the whole vocabulary. least: a word that is rarer teaches nothing."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(split_words(text))
    letters = spelling()
    words = [([letters[one] for one in word.encode()], count) for word, count in counts.items() if count >= least]
    pairs: Counter[tuple[str, str]] = Counter()
    where: dict[tuple[str, str], set[int]] = defaultdict(set)
    for place, (parts, count) in enumerate(words):
        for pair in pairwise(parts):
            pairs[pair] += count
            where[pair].add(place)
    merges: list[tuple[str, str]] = []
    seen = {letters[one] for one in range(256)}
    while len(merges) < size - len(CONTROL) - 256 and pairs:
        # The name decides between equals: the same texts always give the same vocabulary.
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        if pairs[best] <= 0:
            break
        joined = best[0] + best[1]
        for place in where.pop(best, set()):
            parts, count = words[place]
            for pair in pairwise(parts):
                pairs[pair] -= count
            _join(parts, best)
            for pair in pairwise(parts):
                pairs[pair] += count
                where[pair].add(place)
        pairs.pop(best, None)
        if joined not in seen:
            seen.add(joined)
            merges.append(best)
    return Tokenizer(merges)


def _join(parts: list[str], pair: tuple[str, str]) -> None:
    place = 0
    while place < len(parts) - 1:
        if (parts[place], parts[place + 1]) == pair:
            parts[place : place + 2] = [pair[0] + pair[1]]
        place += 1
