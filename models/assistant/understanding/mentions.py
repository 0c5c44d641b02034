"""Where a question speaks of the site's own names, however people spell them: typing slips, hyphens or none, "3" and
"third", only the half of a name that is needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import log
from typing import Literal

from models.assistant.understanding.candidates import RUN, STRONG, Candidates
from models.assistant.understanding.choice import Entities
from models.assistant.understanding.numbers import listed
from models.assistant.understanding.spelling import DIRECTIONS, FILLERS, GENERIC, Word, likeness, words

Kind = Literal["intersection", "device", "approach", "setting"]
KINDS: tuple[Kind, ...] = ("intersection", "device", "approach", "setting")
# From here on a mention is marked; from FAINT on it is taken when nothing better is there.
CLEAR, FAINT = 0.62, 0.3
# Settings are named after common things: half of one is no mention to mark.
CLEAR_SETTING = 0.78
# A half of a name that is like no other counts as two thirds.
HALF_NAMED = 0.6
LITTLE_TELLING = 0.75
ELSE_CALLED = -0.3
_UNITS = frozenset(listed("second minute min hour hr h day week month percent"))
_CUES: dict[Kind, frozenset[str]] = {
    "intersection": frozenset(listed("intersection junction crossroads crossing corner roundabout interchange node")),
    "device": frozenset(listed("device camera unit node box sensor controller gateway agent pi machine host")),
    "approach": frozenset(listed("approach arm leg side direction inbound bound entry branch from coming")),
    "setting": frozenset(listed("setting option parameter value")),
}


@dataclass(frozen=True)
class Mention:
    """start, end: where in the question. score: how much of the name is there, about 1 for all of it. size: words of
    the name that are. name: the site's own spelling."""

    kind: Kind
    name: str
    start: int
    end: int
    score: float
    size: int = 1

    @property
    def rank(self) -> float:
        """Of two that overlap, the one that accounts for more words is meant."""
        return self.score + 0.1 * (min(self.size, 4) - 1)

    @property
    def is_clear(self) -> bool:
        return self.score >= (CLEAR_SETTING if self.kind == "setting" else CLEAR)

    def overlaps(self, other: Mention) -> bool:
        return self.start < other.end and other.start < self.end

    def within(self, other: Mention) -> bool:
        return other.start <= self.start and self.end <= other.end


@dataclass(frozen=True)
class _Name:
    kind: Kind
    name: str
    words: tuple[Word, ...]
    weights: tuple[float, ...]


class Finder:
    """common: whether a word is one that people use for other things too; such a one is no slip for a name."""

    def __init__(self, entities: Entities, common: Callable[[str], bool]) -> None:
        self._common = common
        self._names = [
            one
            for kind, names in zip(
                KINDS, (entities.intersections, entities.devices, entities.approaches, entities.settings), strict=True
            )
            for one in _weighed(kind, names)
        ]
        self._candidates = Candidates([(one.words, one.weights) for one in self._names])

    def find(self, question: str) -> list[Mention]:
        """All of them, overlapping ones too, best first. question: as it was asked."""
        said = words(question)
        named = (self._names[place] for place in self._candidates.of(said))
        found = [mention for name in named for mention in self._of(name, said, question)]
        return sorted(found, key=lambda one: (-one.score, one.start - one.end, one.start, one.name))

    def _of(self, name: _Name, said: Sequence[Word], question: str) -> Iterable[Mention]:
        """At each place where a word of the name stands: the best stretch that begins there."""
        alike = [[self._alike(name, part, word) for word in said] for part in range(len(name.words))]
        joined = self._run_together(name, said)
        for first in range(len(said)):
            best: tuple[float, int, int] | None = None
            for last in range(first, min(len(said), first + len(name.words) + 3)):
                found = self._score(name, said, alike, joined, first, last)
                if found is not None and (best is None or found[0] > best[0] + 1e-9):
                    best = (found[0], found[1], last)
            if best is not None and best[0] >= FAINT:
                start, end = said[first].start, said[best[2]].end
                score = best[0] + self._cued(name.kind, said, first, best[2])
                as_spelled = 0.02 if question[start:end] == name.name else 0.0
                yield Mention(name.kind, name.name, start, end, score + as_spelled, best[1])

    def _score(  # noqa: PLR0917 (one stretch of one name)
        self,
        name: _Name,
        said: Sequence[Word],
        alike: Sequence[Sequence[float]],
        joined: dict[tuple[int, int], tuple[int, int]],
        first: int,
        last: int,
    ) -> tuple[float, int] | None:
        """Score and size; None for a stretch that does not begin and end with words of the name."""
        if (parts := joined.get((first, last))) is not None:
            return sum(name.weights[parts[0] : parts[1]]) * 0.97 / sum(name.weights), parts[1] - parts[0]
        free = set(range(first, last + 1))
        gained, order = 0.0, []
        for part in sorted(range(len(name.words)), key=lambda one: -name.weights[one]):
            place = max(free, key=lambda one: (alike[part][one], -one), default=None)
            if place is not None and alike[part][place] > 0:
                free.discard(place)
                order.append((part, place))
                gained += name.weights[part] * alike[part][place]
        if first in free or last in free or not order:
            return None
        if all(name.words[part].text.isdecimal() for part, _ in order) and not self._numbered(name, said, first):
            return None
        if name.kind in ("intersection", "device") and self._other_number(name, said, order, first, last):
            return None
        extra = sum(0.02 if said[one].text in FILLERS else 0.05 if said[one].text in GENERIC else 0.16 for one in free)
        turned = 0.03 if [place for _, place in sorted(order)] != sorted(place for _, place in order) else 0.0
        strong = any(name.weights[part] >= STRONG for part, _ in order)
        covered = gained / sum(name.weights)
        if covered < 0.9 and not self._telling(name, said, order):
            # Half of a name, in words that mean other things too.
            covered *= LITTLE_TELLING
        elif name.kind in ("intersection", "device"):
            # People name no more of a place than tells it from the others.
            covered = covered**HALF_NAMED
        score = covered - extra - turned
        return (score, len(order)) if strong or len(order) == len(name.words) else None

    @staticmethod
    def _numbered(name: _Name, said: Sequence[Word], first: int) -> bool:
        """A number alone is a name when it is all of it, or stands behind a word for such things: "camera 3"."""
        before = said[first - 1].text if first else ""
        if all(one.text.isdecimal() for one in name.words):
            return said[first].exact.isdecimal() or before in _CUES[name.kind]
        return before in _CUES[name.kind] - {"from"} or before == "number"

    @staticmethod
    def _other_number(
        name: _Name, said: Sequence[Word], order: Sequence[tuple[int, int]], first: int, last: int
    ) -> bool:
        """Whether a number stands there in place of the name's own: "Mill Street 7" is not Mill Street 3."""
        found = {part for part, _ in order}
        if not any(one.text.isdecimal() for part, one in enumerate(name.words) if part not in found):
            return False
        taken = {place for _, place in order}
        beside = [one for one in range(first - 1, last + 2) if 0 <= one < len(said) and one not in taken]
        # "At Mill Street 10 minutes ago" tells a length of time.
        return any(
            said[one].text.isdecimal() and not (one + 1 < len(said) and said[one + 1].text in _UNITS) for one in beside
        )

    def _telling(self, name: _Name, said: Sequence[Word], order: Sequence[tuple[int, int]]) -> bool:
        """Whether a word of the name stands there that means nothing else."""
        for part, place in order:
            word, wanted = said[place], name.words[part]
            if wanted.text in GENERIC or (word.text != wanted.text and len(wanted.text) < 5):
                continue
            if wanted.text in DIRECTIONS or (wanted.text.isdecimal() and len(order) > 1):
                return True
            if wanted.text.isdecimal():
                continue
            cue = self._cued(name.kind, said, place, place) > 0
            if cue or not self._common(word.exact) or (word.capital and place > 0):
                return True
        return False

    def _alike(self, name: _Name, part: int, word: Word) -> float:
        wanted = name.words[part]
        if wanted.text == word.text:
            if len(wanted.text) == 1 and wanted.text.isalpha() and not (word.capital or len(name.words) > 1):
                return 0.0
            return 1.0 if wanted.exact == word.exact else 0.97
        if wanted.exact == word.exact:
            return 1.0
        if len(wanted.text) < (5 if name.kind in ("approach", "setting") else 4):
            return 0.0
        alike = likeness(wanted.text, word.text)
        return 0.0 if alike and self._common(word.exact) and len(wanted.text) < 9 else alike

    def _run_together(self, name: _Name, said: Sequence[Word]) -> dict[tuple[int, int], tuple[int, int]]:
        """Stretches of the question that are a part of the name once spaces are left out: places -> parts."""
        found = {}
        for begin in range(len(name.words)):
            for end in range(begin + 1, len(name.words) + 1):
                whole = "".join(one.exact for one in name.words[begin:end])
                for first in range(len(said)):
                    text = ""
                    for last in range(first, min(len(said), first + RUN)):
                        text += said[last].exact
                        if len(text) > len(whole):
                            break
                        if text == whole and (last - first, end - begin) != (0, 1) and last - first != end - begin - 1:
                            found[first, last] = (begin, end)
        return found

    @staticmethod
    def _cued(kind: Kind, said: Sequence[Word], first: int, last: int) -> float:
        near = [said[one].text for one in (first - 2, first - 1, last + 1) if 0 <= one < len(said)]
        inside = [one.text for one in said[first : last + 1]]
        if _CUES[kind].intersection(near) or _CUES[kind].intersection(inside):
            return 0.05
        # "The harbour junction" is no device, "the harbour camera" no junction.
        beside = {said[one].text for one in (first - 1, last + 1) if 0 <= one < len(said)}
        other: Kind | None = {"device": "intersection", "intersection": "device"}.get(kind)  # type: ignore[assignment]
        return ELSE_CALLED if other is not None and _CUES[other].intersection(beside) else 0.0


def _weighed(kind: Kind, names: Sequence[str]) -> list[_Name]:
    """A word that many names have tells little about which is meant."""
    idle = FILLERS - {"from", "to"} if kind == "approach" else FILLERS
    spelled = [tuple(one for one in words(name) if one.text not in idle) or tuple(words(name)) for name in names]
    counts = Counter(text for one in spelled for text in {word.text for word in one})
    found = []
    for name, parts in zip(names, spelled, strict=True):
        weights = tuple(
            (0.3 if one.text in GENERIC or one.text in FILLERS else 1.0) / (1 + log(counts[one.text])) for one in parts
        )
        if parts:
            found.append(_Name(kind, name, parts, weights))
    return found


def clear(mentions: Sequence[Mention]) -> list[Mention]:
    """Those to mark: the best that do not overlap. An approach counts beside an intersection, and a setting beside a
    device: alone, their words mean what they mean everywhere."""
    kinds = {one.kind for one in mentions if one.is_clear}
    chosen: list[Mention] = []
    for one in sorted(mentions, key=lambda one: (-round(one.rank, 3), one.start - one.end, KINDS.index(one.kind))):
        alone = (one.kind == "approach" and "intersection" not in kinds) or (
            one.kind == "setting" and "device" not in kinds
        )
        if one.is_clear and not alone and not any(one.overlaps(other) for other in chosen):
            chosen.append(one)
    return sorted(chosen, key=lambda one: one.start)
