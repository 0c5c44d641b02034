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
_ON = listed(
    "true yes on enabled enable active activate activated start started begin resume restore unmute arm engage launch"
    " allow permit running working live back needed wanted required revive reactivate yep aye affirmative"
)
_OFF = listed(
    "false no off disabled disable inactive deactivate deactivated kill killed stop stopped mute silence disarm"
    " disengage halt suspend pause terminate cease shut forbid block remove removed ditch axe nix cancel skip quit"
    " gone away unwanted unneeded unnecessary useless nope negative dead out"
)
_YES = dict.fromkeys(_ON, True) | dict.fromkeys(_OFF, False)
# A word that points to the value is not the value.
_IDLE = frozenset(
    listed(
        "to at as be is of it on in into for the a an over please now tonight today switch turn set put make change"
        " adjust update lose cut drop should needs want wants"
    )
)


def value_of(  # noqa: PLR0911 (one return a kind of value)
    text: str, taken: Sequence[tuple[int, int]], reading: Reading, word: str, sure: float = 1.0
) -> tuple[Value | None, float]:
    """The value, and how sure it is. text: as `plain` gives it. taken: stretches that are names of the site's. word:
    what is taken for the value's text, and how surely."""
    free = _without(text, taken)
    for pattern in (_TIME, _VERSION):
        if (written := pattern.search(free)) is not None:
            return written[0], 0.9
    switch = int(reading.switch.argmax())
    said = _said(free)
    firm = any(not one.spoken or _TO.search(free[: one.start].rstrip()) for one in said)
    # A number in digits, or that something points at, is the value, unless on or off is beyond doubt.
    if switch != NEITHER and not (said and reading.switch[switch] < (0.97 if firm else 0.8)):
        return switch == ON, float(reading.switch[switch])
    if said:
        # A number that the heads do not point at still counts: strings are rarer, and hardly stand beside numbers.
        chosen = next((one for one in said if free[one.start : one.end].strip() in word.split()), None) or _likely(
            free, said
        )
        return chosen.value, float(max(reading.switch[NEITHER], 0.3)) * (1.0 if len(said) == 1 else 0.8)
    if word.strip() in _YES:
        return _YES[word.strip()], float(reading.switch[NEITHER])
    doubtful = sure < 0.5 and max(reading.switch[ON], reading.switch[OFF]) > 0.1
    if word and not doubtful and not _IDLE.issuperset(word.split()):
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
