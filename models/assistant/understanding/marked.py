"""A question as the model reads it: in lower case, and a mark in place of each of the site's own names and of each
length of time. So no name has to be known when it is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Mark = Literal["intersection", "device", "approach", "setting", "duration"]
MARKS: tuple[Mark, ...] = ("intersection", "device", "approach", "setting", "duration")
_PLAIN = str.maketrans(
    {"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "−": "-", "\t": " ", "\n": " ", "\r": " ", "\xa0": " "}
)


def plain(question: str) -> str:
    """As long as the question, letter by letter, so that places in one are places in the other."""
    lowered = "".join(low if len(low := one.lower()) == 1 else one for one in question)
    return lowered.translate(_PLAIN)


@dataclass(frozen=True)
class Part:
    """start, end: where in the question. mark: None for text."""

    start: int
    end: int
    mark: Mark | None = None


@dataclass(frozen=True)
class Token:
    """start, end: the letters that it stands for; a letter of several bytes may belong to several tokens."""

    number: int
    start: int
    end: int


def parts_of(length: int, marks: Iterable[Part]) -> list[Part]:
    """Marks that do not overlap, and the text between them."""
    parts, place = [], 0
    for one in sorted(marks, key=lambda part: part.start):
        if one.start > place:
            parts.append(Part(place, one.start))
        parts.append(one)
        place = one.end
    if place < length:
        parts.append(Part(place, length))
    return parts


def tokens_of(
    text: str,
    parts: Sequence[Part],
    encode: Callable[[str], Sequence[int]],
    piece: Callable[[int], bytes],
    control: Callable[[str], int],
) -> list[Token]:
    """text: as `plain` gives it. encode, piece: of the tokenizer, text to tokens and a token's bytes; control: the
    token of a mark. A space before a mark belongs to the mark, as words have theirs."""
    found: list[Token] = []
    for number, part in enumerate(parts):
        if part.mark is not None:
            found.append(Token(control(part.mark), part.start, part.end))
            continue
        said = text[part.start : part.end]
        if number + 1 < len(parts):
            said = said.rstrip(" ")
        begun = 0 if number or said.startswith(" ") else 1
        spelled = " " * begun + said
        # By byte, the letter that it belongs to.
        letters = [place for place, one in enumerate(spelled) for _ in one.encode("utf-8", "replace")]
        byte = 0
        for token in encode(spelled) if spelled else ():
            size = max(1, len(piece(token)))
            covered = letters[byte : byte + size] or [len(spelled) - 1]
            start, end = covered[0] - begun, covered[-1] + 1 - begun
            found.append(Token(token, part.start + max(0, start), part.start + max(0, end)))
            byte += size
    return found
