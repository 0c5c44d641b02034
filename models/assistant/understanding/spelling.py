"""Words of names and questions in one spelling: "CamHarbour_03", "harbour camera 3" and "the third cam at Harbour" have
the same ones."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from models.assistant.understanding.numbers import ONES, TENS, listed

_WORD = re.compile(
    r"(?P<ordinal>\d+(?:st|nd|rd|th))(?![a-z])|[A-Z]?[a-zà-ÿ]+|[A-ZÀ-Þ]+(?![a-zà-ÿ])|\d+|[^\W\d_]", re.UNICODE
)
_ORDINALS = {
    word: str(place)
    for place, word in enumerate(
        listed(
            "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth"
            " fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
        ),
        1,
    )
}
_NUMBERS = {word: str(value) for word, value in [*ONES.items(), *TENS.items()]} | _ORDINALS
_SHORT = {
    "camera": "cam cams cameras camra camara cameera", "street": "st str", "avenue": "ave av", "road": "rd",
    "boulevard": "blvd boul", "lane": "ln", "drive": "dr", "square": "sq", "highway": "hwy", "place": "pl",
    "junction": "jct junc jn jnct", "intersection": "int inter intersec xing crossing",
    "controller": "ctrl ctl cntrl contr",
    "gateway": "gw gtw", "detector": "det dtc", "temperature": "temp", "threshold": "thresh thr", "minimum": "min",
    "maximum": "max", "second": "sec secs seconds", "minute": "mins minutes", "level": "lvl", "interval": "intvl",
    "sensitivity": "sens", "confidence": "conf", "configuration": "config cfg", "message": "msg", "number": "num nr no",
    "roundabout": "rbt rndabt", "server": "srv", "emergency": "emerg emer", "vehicle": "veh", "signal": "sig sgnl",
    "north": "n northern northerly northbound northwards nb nbound",
    "south": "s southern southerly southbound southwards sb",
    "east": "e eastern easterly eastbound eastwards eb", "west": "w western westerly westbound westwards wb",
    "northeast": "ne northeastern northeastbound", "northwest": "nw northwestern northwestbound",
    "southeast": "se southeastern southeastbound", "southwest": "sw southwestern southwestbound",
    "raspberry": "rpi raspi",
    "colour": "color", "centre": "center", "harbour": "harbor", "grey": "gray", "theatre": "theater", "saint": "snt",
    "mount": "mt", "mode": "modus", "frequency": "freq", "resolution": "res reso", "brightness": "bright",
    "recording": "record rec recordings", "language": "lang", "volume": "vol", "notification": "notif notifs",
}  # fmt: skip
_LONG = {short: word for word, others in _SHORT.items() for short in others.split()}
# Say little by themselves: many names have them, and questions use them anyway.
FILLERS = frozenset(listed("and at of the a an in on by to for near with from & site s my our this that"))
GENERIC = frozenset(
    listed(
        "street avenue road boulevard lane drive square place highway junction intersection crossroads"
        " crossing corner roundabout camera device node unit box sensor controller gateway detector approach"
        " arm leg side direction way signal light edge agent pi station number setting option parameter mode"
        " value system traffic"
    )
)
DIRECTIONS = frozenset(listed("north south east west northeast northwest southeast southwest inbound outbound"))
# Those that Unicode takes apart into no letter and its mark.
_LETTERS = dict(zip("łŁøØđĐðÐħĦŧŦıĿŀæÆœŒ", "lLoOdDdDhHtTiLlaAoO", strict=True))
_PHRASES = (
    (("frames", "per", "second"), ("frame", "rate")),
    (("fps",), ("frame", "rate")),
    (("framerate",), ("frame", "rate")),
)


@dataclass(frozen=True)
class Word:
    """text: in the common spelling. start, end: where it stands. exact: as it was spelled, in lower case."""

    text: str
    start: int
    end: int
    exact: str
    capital: bool = False


def plain_letters(text: str) -> str:
    """Latin letters without their marks, each still one letter: who has no "Ł" on the keyboard types "Lodz"."""
    return "".join(_plain_letter(one) for one in text)


def words(text: str) -> list[Word]:
    text = plain_letters(text)
    found: list[Word] = []
    for one in _WORD.finditer(text):
        lowered = one[0].lower()
        after_mark = one.start() > 0 and text[one.start() - 1] in "'’" and len(lowered) < 3
        if after_mark:  # What's, I'd, they'll: no word by itself.
            continue
        plain = lowered[:-2] if one["ordinal"] else lowered
        found.append(Word(_common(plain), one.start(), one.end(), lowered, capital=one[0][0].isupper()))
    return _joined_numbers(_phrases(found))


def spelled(name: str) -> tuple[str, ...]:
    """Its words, without those that say nothing: names that are equal so are spellings of one."""
    return tuple(one.text for one in words(name) if one.text not in FILLERS)


def _plain_letter(letter: str) -> str:
    if letter.isascii():
        return letter
    base = unicodedata.normalize("NFKD", letter)[:1]
    return base if base.isascii() and base.isalpha() else _LETTERS.get(letter, letter)


def _common(word: str) -> str:
    if word.isdecimal():
        return word.lstrip("0") or "0"
    word = _NUMBERS.get(word, word)
    word = _LONG.get(word, word)
    if len(word) > 4 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    return _LONG.get(word, word)


def _phrases(found: list[Word]) -> list[Word]:
    for said, meant in _PHRASES:
        place = 0
        while place + len(said) <= len(found):
            part = found[place : place + len(said)]
            if tuple(one.exact for one in part) == said:
                start, end = part[0].start, part[-1].end
                found[place : place + len(said)] = [Word(one, start, end, one) for one in meant]
            place += 1
    return found


def _joined_numbers(found: list[Word]) -> list[Word]:
    """ "twenty first" is 21."""
    joined: list[Word] = []
    for one in found:
        last = joined[-1] if joined else None
        spoken = last is not None and last.exact in TENS and one.exact in _NUMBERS and len(one.text) == 1
        if last is not None and spoken and one.text != "0":
            text = str(int(last.text) + int(one.text))
            joined[-1] = Word(text, last.start, one.end, f"{last.exact} {one.exact}")
        else:
            joined.append(one)
    return joined


def likeness(one: str, other: str) -> float:
    """Of two words, 0 to 1: slips of the hand and shortenings are alike, numbers only when they are equal."""
    if one == other:
        return 1.0
    if one.isdecimal() or other.isdecimal() or min(len(one), len(other)) < 3:
        return 0.0
    short, long = sorted((one, other), key=len)
    if long.startswith(short) and len(short) >= min(4, len(long) - 1):
        return 0.85
    if len(short) < 4:
        return 0.0
    allowed = 2 if len(short) >= 7 else 1
    distance = _distance(one, other, allowed)
    return 0.0 if distance > allowed else 0.88 - 0.08 * distance


def _distance(one: str, other: str, limit: int) -> int:
    """Letters to add, leave out, replace or swap with the next (optimal string alignment), up to limit + 1."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        older, before = before, row
        row = [place]
        for column, wanted in enumerate(other, 1):
            best = min(before[column] + 1, row[-1] + 1, before[column - 1] + (letter != wanted))
            swapped = place > 1 and column > 1 and letter == other[column - 2] and one[place - 2] == wanted
            row.append(min(best, older[column - 2] + 1) if swapped else best)
        if min(row) > limit:
            return limit + 1
    return row[-1]
