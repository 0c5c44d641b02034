"""A text that is too long, made to fit: its newest part, or the sentences of its own that tell most of it.

The sentences are chosen by how often their words stand in the text, and a word that was told counts less afterwards
(SumBasic; Nenkova and Vanderwende 2005, "The Impact of Frequency on Summarization", section 4, without its step that
asks for the likeliest word). No model writes them, so none says what the text does not. The last sentence always stays:
what is asked mostly stands there.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from statistics import fmean
from typing import Literal

# What is done with a text that does not fit.
TooLong = Literal["refuse", "newest", "summarise"]
# Without a full stop for so long, a part ends anyway.
LONGEST_SENTENCE, LONGEST_WORD = 300, 60
# Words that nearly every text has: they tell nothing of what it is about.
COMMON_WORDS = frozenset(
    re.findall(
        r"\w+",
        """a about an and are as at be by did do does for from had has have i in is it
    me my of on or our say said so that the their there they this to us was we were what when where which who with you
    your""",
    )
)
_SENTENCE = re.compile(r"[^\n.!?…。！？]*(?:[.!?…。！？]+(?=\s|$)|[.!?…。！？]+|\n|$)")
_WORD = re.compile(r"[\w']+")

Size = Callable[[str], int]


def newest(text: str, limit: int, size: Size = len) -> str:
    """The longest end of a text that fits, from the beginning of a word where there is one."""
    starts = [found.start() for found in re.finditer(r"\S+", text)]
    first = bisect_left(starts, True, key=lambda start: size(text[start:]) <= limit)
    if first < len(starts):
        return text[starts[first] :].rstrip()
    word = text[starts[-1] :].rstrip() if starts else ""
    cut = bisect_left(range(len(word)), True, key=lambda start: size(word[start:]) <= limit)
    return word[cut:]


def summary(text: str, limit: int, size: Size = len) -> str:
    """Sentences of a text in their order, which together fit; all of it where it does. size: what a text takes, in the
    unit of limit; that of a part is no more than that of the whole, give or take little."""
    if size(text) <= limit:
        return text
    parts = sentences(text)
    left = limit - size(parts[-1]) if parts else -1
    if left < 0:
        return newest(text, limit, size)
    chosen = _chosen(parts, left, size)
    # Parts may take more together than one by one.
    while chosen:
        told = " ".join(parts[place] for place in sorted({*chosen, len(parts) - 1}))
        if size(told) <= limit:
            return told
        chosen.pop()
    return parts[-1]


def fitted(text: str, limit: int, too_long: TooLong, size: Size = len) -> str:
    """The text as it is where it fits, or may not be shortened; else what is left of it."""
    if too_long == "refuse" or size(text) <= limit:
        return text
    return newest(text, limit, size) if too_long == "newest" else summary(text, limit, size)


def sentences(text: str) -> list[str]:
    """Each without space around it. A line ends one, too."""
    found: list[str] = []
    held = ""
    for one in _SENTENCE.finditer(text):
        held += one[0]
        # "3.5" and "kinflow.toml" are no ends.
        if not one[0] or one[0][-1].isspace() or one.end() == len(text) or text[one.end()].isspace():
            found += _pieces(held)
            held = ""
    return found


def _pieces(sentence: str) -> list[str]:
    """Of one that is as long as a text, several."""
    found, held = [], ""
    for word in re.findall(rf"\S{{1,{LONGEST_WORD}}}", sentence):
        if held and len(held) + len(word) >= LONGEST_SENTENCE:
            found.append(held)
            held = ""
        held = f"{held} {word}" if held else word
    return [*found, held] if held else found


def _chosen(parts: list[str], left: int, size: Size) -> list[int]:
    """Places of sentences besides the last one, the most telling first, that fit into what is left."""
    words = [[one for one in _WORD.findall(part.lower()) if one not in COMMON_WORDS] for part in parts]
    counts = Counter(one for part in words for one in part)
    total = max(1, counts.total())
    chances = {word: count / total for word, count in counts.items()}

    def score(place: int) -> float:
        return -fmean(chances[one] for one in words[place]) if words[place] else 0.0

    def tell(place: int) -> None:
        for one in set(words[place]):
            chances[one] **= 2

    # What is said again is told once, where it was said last.
    once = {part: place for place, part in enumerate(parts)}
    waiting = [(score(place), place) for place in once.values() if place != len(parts) - 1]
    heapify(waiting)
    chosen: list[int] = []
    while waiting and left > 0:
        said, place = heappop(waiting)
        # Scores only fall: one that has not fallen is the best.
        if (now := score(place)) > said and waiting and now > waiting[0][0]:
            heappush(waiting, (now, place))
        elif (takes := size(f" {parts[place]}")) <= left:
            chosen.append(place)
            left -= takes
            tell(place)
    return chosen
