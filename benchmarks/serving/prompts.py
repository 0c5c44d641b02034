"""Prompts of exactly so many tokens, for a server whose vocabulary nobody knows: letters with spaces between them,
whose cost is learnt by asking, and what is left over is filled up."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Looked at letter by letter only where they do not all cost the same.
FEW = "abdeghikmnprst"
FILLERS = (".", "!", "?", ",", ";", ":", "..", ".!", "?!", "x", "zz", " .", " !", "...", "?!;", ". .", "....", ".!?;:")

Count = Callable[[str], Awaitable[int]]


@dataclass(frozen=True)
class Words:
    """fixed: tokens of a prompt without any word (a begin, a template). unit: of a word and the space before it.
    fillers: what adds that many tokens to the end of a text."""

    letters: str
    fixed: int
    unit: int
    fillers: Mapping[int, str] = field(default_factory=dict)

    def text(self, tokens: int, seed: object) -> str:
        """Another seed, another text from its first word on."""
        whole, rest = divmod(max(tokens - self.fixed, self.unit), self.unit)
        words = Random(str(seed)).choices(self.letters, k=whole)  # noqa: S311 (no secret)
        return " ".join(words) + self.fillers.get(rest, "")

    def of_blocks(self, tokens: int, blocks: Sequence[int], block_tokens: int, seed: object, rest: object) -> str:
        """A prompt whose block number i is said by blocks[i], so that two that begin with the same ids begin with the
        same tokens. The last block need not be whole. rest: seed of what is behind the last one."""
        words: list[str] = []
        for number, block in enumerate(blocks):
            end = min(tokens, (number + 1) * block_tokens)
            count = max(0, (end - self.fixed) // self.unit) - len(words)
            words += Random(f"{seed}/{block}").choices(self.letters, k=max(0, count))  # noqa: S311
        left = (tokens - self.fixed) // self.unit - len(words)
        words += Random(f"{rest}/rest").choices(self.letters, k=max(0, left))  # noqa: S311
        return " ".join(words or [self.letters[0]]) + self.fillers.get(max(0, tokens - self.fixed) % self.unit, "")

    def reach(self, tokens: int) -> int:
        """How many tokens a prompt of `tokens` really has: more where nothing is that short, fewer where there is no
        filler."""
        wanted = max(tokens - self.fixed, self.unit)
        rest = wanted % self.unit
        return self.fixed + wanted - (0 if rest in self.fillers else rest)


async def learn(count: Count) -> Words:
    """count: how many tokens the server says that a prompt has."""
    few, many = 8, 24

    async def line(letters: str) -> tuple[float, int]:
        """What a word costs there, and what is left for all that is no word."""
        short, long = (" ".join(letters[number % len(letters)] for number in range(size)) for size in (few, many))
        first, second = await count(short), await count(long)
        unit = (second - first) / (many - few)
        return unit, round(first - unit * few)

    unit, fixed = await line(LETTERS)
    letters = LETTERS
    if not unit.is_integer() or await count(" ".join(LETTERS[::-1])) != unit * len(LETTERS) + fixed:
        costs = {letter: await line(letter) for letter in FEW}
        unit, fixed = statistics.mode(costs.values())
        letters = "".join(letter for letter, cost in costs.items() if cost == (unit, fixed))
    # A word that costs a broken number is no unit to reckon with; what comes of it is told by `prompt_tokens_off`.
    step = max(1, round(unit))
    words = Words(letters, fixed, step)
    return Words(letters, fixed, step, await _fillers(count, words))


async def _fillers(count: Count, words: Words) -> dict[int, str]:
    base = " ".join(words.letters[number % len(words.letters)] for number in range(8))
    found: dict[int, str] = {}
    for filler in FILLERS:
        if len(found) >= words.unit - 1:
            break
        more = await count(base + filler) - words.fixed - 8 * words.unit
        if 0 < more < words.unit:
            found.setdefault(more, filler)
    return {0: "", **found}
