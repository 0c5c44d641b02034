"""How long a time people mean: "the last half hour" is 30 minutes, "past 1h30" 90, "the last five" 5."""

from __future__ import annotations

import re
from dataclasses import dataclass

from models.assistant.understanding.numbers import SCALES, WORDS, numbers

_SPOKEN = "|".join([*WORDS, *SCALES])
_NUMBER = rf"(?:\d+(?:\.\d+)?|\.\d+|(?:{_SPOKEN})(?:[\s-](?:and[\s-])?(?:{_SPOKEN}))*)"
_UNITS = {
    r"seconds?|secs?|s": 1 / 60,
    r"minutes?|minuets?|minuts?|minits?|mintues?|mins?|mns?|m": 1,
    r"hours?|hrs?|hour's|h": 60,
    r"days?|d": 1440,
}
_UNIT = "|".join(f"(?:{one})" for one in _UNITS)
_LONG = r"hours?|hrs?|hr|h|days?"
_CUE = r"(?:last|past|previous|prior|preceding|recent|latest|trailing|final|lst|laast|passed)"
# Each with its groups: what it means is told by `_value`. The first that fits at a place counts.
_KINDS = (
    ("clock", r"(\d+)\s?h\s?(\d{1,2})\s?(?:m|min|mins|minutes)?\b"),
    ("sum", rf"({_NUMBER})[\s-]?(hours?|hrs?|h)\s(?:and\s)?({_NUMBER})[\s-]?(minutes?|mins?|m)\b"),
    ("and_half", rf"({_NUMBER})\sand\sa\shalf[\s-]({_LONG}|minutes?|mins?)\b"),
    ("unit_and_half", rf"(?:an?|one|1)?\s?({_LONG})\sand\sa\shalf\b"),
    ("unit_and_quarter", rf"(?:an?|one|1)?\s?({_LONG})\sand\sa\squarter\b"),
    ("three_quarters", rf"(?:three|3)[\s-]quarters?\sof\san?\s({_LONG})\b|(?:three|3)[\s-]quarters?[\s-]({_LONG})\b"),
    ("half", rf"(?:an?\s|one\s)?half[\s-](?:of\s)?(?:an?[\s-]|one[\s-])?({_LONG}|minute)\b|1/2\s({_LONG})\b"),
    ("quarter", rf"(?:an?\s|one\s)?quarter[\s-](?:of\s)?(?:an?[\s-]|one[\s-])?({_LONG})\b|1/4\s({_LONG})\b"),
    ("couple", rf"(?:a\s)?couple\s(?:of\s)?({_UNIT})\b|(?:a\s)?couple\s?a\s({_UNIT})\b"),
    ("number", rf"({_NUMBER})(?:[\s-]odd)?[\s-]?({_UNIT})\b"),
    ("prime", r"(\d+)'(?!\w)"),
    ("dozen", rf"(?:a\s)?dozen\s({_UNIT})\b"),
    ("one", r"(?:an|a|one)\s(hour|hr|minute|min|day)\b"),
    ("short_quarter", rf"{_CUE}\squarter\b(?![\s-](?:of|h))"),
    ("this", r"(?<!at\s)(?:this|the|per|within an?)\s(hour)\b"),
    ("cued", rf"{_CUE}\s(hour|hr|minute|min|day|h)\b"),
    ("bare", rf"{_CUE}\s(?!one\b)({_NUMBER})(?=$|[?.!,;]|\s(?:at|on|for|in|from|only|please|pls|or|so)\b)"),
    ("ly", r"\b(hour)ly\b"),
)  # fmt: skip
_PATTERN = re.compile("|".join(rf"(?P<{name}>(?<![\w.:/-]){pattern})" for name, pattern in _KINDS))
_PARTS = {name: re.compile(pattern) for name, pattern in _KINDS}


@dataclass(frozen=True)
class Duration:
    """start, end: where in the text. minutes: as said, parts of one included."""

    start: int
    end: int
    minutes: float

    @property
    def whole_minutes(self) -> int:
        return max(1, round(self.minutes))


def durations(text: str) -> list[Duration]:
    """text: in lower case. In the order in which they stand."""
    found = []
    for one in _PATTERN.finditer(text):
        kind = str(one.lastgroup) if one.lastgroup in _PARTS else next(k for k in _PARTS if one.group(k) is not None)
        inner = _PARTS[kind].match(text, one.start())
        if inner is not None:
            minutes = _value(kind, [group for group in inner.groups() if group is not None])
            if 0 < minutes <= 60 * 24 * 366:
                found.append(Duration(one.start(), one.end(), minutes))
    return found


def _value(kind: str, groups: list[str]) -> float:  # noqa: PLR0911, PLR0912 (one line a kind)
    match kind:
        case "clock":
            return 60 * float(groups[0]) + float(groups[1])
        case "sum":
            return _number(groups[0]) * 60 + _number(groups[2])
        case "and_half":
            return (_number(groups[0]) + 0.5) * _unit(groups[1])
        case "unit_and_half":
            return 1.5 * _unit(groups[0])
        case "unit_and_quarter":
            return 1.25 * _unit(groups[0])
        case "three_quarters":
            return 0.75 * _unit(groups[0])
        case "half":
            return 0.5 * _unit(groups[0])
        case "quarter":
            return 0.25 * _unit(groups[0])
        case "short_quarter":
            return 15
        case "couple":
            return 2 * _unit(groups[0])
        case "dozen":
            return 12 * _unit(groups[0])
        case "number":
            return _number(groups[0]) * _unit(groups[1])
        case "bare" | "prime":
            return _number(groups[0])
        case _:
            return _unit(groups[0])


def _number(text: str) -> float:
    return next((float(one.value) for one in numbers(text)), 0.0)


def _unit(text: str) -> float:
    return next(minutes for names, minutes in _UNITS.items() if re.fullmatch(names, text))
