"""Numbers as people write and say them: "30", "2.5", "-5", "1,500", "80 %", "twenty-five", "five hundred", "half"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


def listed(text: str) -> tuple[str, ...]:
    """Words, one space apart."""
    return tuple(text.split())


ONES = {
    word: value
    for value, word in enumerate(
        listed(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
            " seventeen eighteen nineteen"
        )
    )
}
TENS = {
    word: 10 * (2 + place) for place, word in enumerate(listed("twenty thirty forty fifty sixty seventy eighty ninety"))
}
# As people misspell them.
TENS |= {"fourty": 40, "fivty": 50, "ninty": 90, "twelfe": 12, "fourtin": 14}
ONES |= {"nought": 0, "naught": 0, "nil": 0}
SCALES = {"hundred": 100, "thousand": 1000}
WORDS = {**ONES, **TENS}
_DIGITS = re.compile(r"(?<![\w.])[-+−]?(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)?(?:\.\d+)?(?=\s?%|[a-z]|\W|$)")
_WORD = re.compile(r"[a-z]+")
_JOINS = re.compile(r"[\s-]{1,2}(?:and[\s-])?")


@dataclass(frozen=True)
class Number:
    """start, end: where in the text. value: a whole one is an int. spoken: in words."""

    start: int
    end: int
    value: int | float
    spoken: bool = False


def numbers(text: str) -> list[Number]:
    """text: in lower case. In the order in which they stand."""
    return sorted([*_written(text), *_spoken(text)], key=lambda one: one.start)


def _written(text: str) -> Iterator[Number]:
    for found in _DIGITS.finditer(text):
        digits = found[0].replace(",", "").replace("−", "-")
        if any(one.isdigit() for one in digits) and (found.end() == len(text) or text[found.end()] != ":"):
            thousands = re.match(r"k(?![a-z])", text[found.end() :]) is not None
            yield Number(found.start(), found.end() + thousands, _neat(float(digits) * (1000 if thousands else 1)))


def _spoken(text: str) -> Iterator[Number]:
    place = 0
    while (word := _WORD.search(text, place)) is not None:
        found = _phrase(text, word) if _whole_word(text, word) else None
        if found is not None:
            yield found
        place = found.end if found is not None else word.end()


def _whole_word(text: str, word: re.Match[str]) -> bool:
    before = text[word.start() - 1] if word.start() else " "
    return not (before.isalnum() or before in "_'")


def _phrase(text: str, first: re.Match[str]) -> Number | None:
    """The longest number in words that begins here."""
    value: float = 0
    sign, start, end = 1, first.start(), first.start()
    word: re.Match[str] | None = first
    if first[0] in ("minus", "negative"):
        sign, word = -1, _next(text, first.end())
    part, last = 0.0, ""
    while word is not None:
        name = word[0]
        if name in WORDS and _fits(last, name):
            part += WORDS[name]
        elif name in SCALES and (part or not last):
            part = (part or 1) * SCALES[name]
            if name == "thousand":
                value, part = value + part, 0.0
        elif name == "point" and (tail := _fraction(text, word.end())) is not None:
            return Number(start, tail[1], _neat(sign * (value + part + tail[0])), spoken=True)
        elif not last and name in ("dozen", "half"):
            return Number(start, word.end(), 12 if name == "dozen" else 0.5, spoken=True)
        else:
            break
        last, end = name, word.end()
        word = _next(text, end)
    return Number(start, end, _neat(sign * (value + part)), spoken=True) if last else None


def _fits(last: str, name: str) -> bool:
    """ "twenty five" is one number, "five twenty" are two."""
    if not last or last in SCALES:
        return True
    return last in TENS and name in ONES and 0 < ONES[name] < 10


def _fraction(text: str, place: int) -> tuple[float, int] | None:
    digits = ""
    while (word := _next(text, place)) is not None and ONES.get(word[0], 10) < 10:
        digits, place = digits + str(ONES[word[0]]), word.end()
    return (float(f"0.{digits}"), place) if digits else None


def _next(text: str, place: int) -> re.Match[str] | None:
    joint = _JOINS.match(text, place)
    return _WORD.match(text, joint.end()) if joint else None


def _neat(value: float) -> int | float:
    return int(value) if value == int(value) else round(value, 9)
