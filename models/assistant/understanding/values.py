"""Which value a question gives to a setting: a number, true or false, or a word."""

from __future__ import annotations

import re
from collections.abc import Sequence

from models.assistant.tools import Value
from models.assistant.understanding.heads import Reading
from models.assistant.understanding.numbers import Number, listed, numbers

OFF, ON, NEITHER = range(3)
_TIME = re.compile(r"(?<![\d:])\d{1,2}:\d{2}(?::\d{2})?(?![\d:])")
_VERSION = re.compile(r"(?<![\w.])\d+(?:\.\d+){2,}(?![\w.])")
_NO_NUMBER = re.compile(r"(?:the|this|that|which|actual|no|any|each|every|old|new|other)\s$")
_TO = re.compile(r"(?:\bto|=|:|->|\bat|\bbe|\bis|\bof|\bvalue|\bmake it|\bput)\s*[\"']?$")
_YES = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False, "enabled": True}
_YES |= {"disabled": False, "enable": True, "disable": False, "active": True, "inactive": False, "activate": True}
_YES |= {"deactivate": False, "kill": False, "stop": False, "deactivated": False, "activated": True}
# A word that points to the value is not the value.
_IDLE = frozenset(
    listed(
        "to at as be is of it on in into for the a an over please now tonight today switch turn set put make change"
        " adjust update lose cut drop should needs want wants"
    )
)


def value_of(  # noqa: PLR0911 (one return a kind of value)
    text: str, taken: Sequence[tuple[int, int]], reading: Reading, word: str
) -> tuple[Value | None, float]:
    """The value, and how sure it is. text: as `plain` gives it. taken: stretches that are names of the site's. word:
    what the heads take for the value's text."""
    free = _without(text, taken)
    for pattern in (_TIME, _VERSION):
        if (written := pattern.search(free)) is not None:
            return written[0], 0.9
    switch = int(reading.switch.argmax())
    said = _said(free)
    if switch != NEITHER and not (said and reading.switch[switch] < 0.8):
        return switch == ON, float(reading.switch[switch])
    if said:
        # A number that the heads do not point at still counts: strings are rarer, and hardly stand beside numbers.
        chosen = next((one for one in said if free[one.start : one.end].strip() in word.split()), None) or _likely(
            free, said
        )
        return chosen.value, float(max(reading.switch[NEITHER], 0.3)) * (1.0 if len(said) == 1 else 0.8)
    if word.strip() in _YES:
        return _YES[word.strip()], float(reading.switch[NEITHER])
    if word and not _IDLE.issuperset(word.split()):
        return word, float(reading.switch[NEITHER])
    if max(reading.switch[ON], reading.switch[OFF]) > 0.05:
        return bool(reading.switch[ON] > reading.switch[OFF]), 0.3
    return None, 0.0


def _without(text: str, taken: Sequence[tuple[int, int]]) -> str:
    """The same length, names blanked."""
    letters = list(text)
    for start, end in taken:
        letters[start:end] = " " * (end - start)
    return "".join(letters)


def _said(free: str) -> list[Number]:
    found = numbers(free)
    firm = [one for one in found if not (one.value == 1 and one.spoken and _NO_NUMBER.search(free[: one.start]))]
    digits = [one for one in firm if not (one.spoken and one.value in (0.5, 1))]
    return digits or firm


def _likely(free: str, said: Sequence[Number]) -> Number:
    """The one behind a word such as "to"; else the last."""
    return next((one for one in reversed(said) if _TO.search(free[: one.start].rstrip())), said[-1])
