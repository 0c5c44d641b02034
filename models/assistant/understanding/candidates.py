"""Which of a site's names a question can speak of at all, found by their words: a site of ten thousand devices is asked
as quickly as one of ten. What is left out could not be a mention; what is left in, mentions.py judges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from models.assistant.understanding.spelling import Word, likeness

# A word of at least this weight can carry a name alone; of others, all must be there.
STRONG = 0.3
# No more words of a question than these are ever one word of a name.
RUN = 4
_SHORTEST_ALIKE = 4


class Candidates:
    """names: the words of each, and their weights. Places in `names` are what is found."""

    def __init__(self, names: Sequence[tuple[Sequence[Word], Sequence[float]]]) -> None:
        self._strong: Mapping[str, set[int]] = defaultdict(set)
        self._all: Mapping[str, set[int]] = defaultdict(set)
        # One word of a name, and several run together.
        self._one: Mapping[str, set[int]] = defaultdict(set)
        self._several: Mapping[str, set[int]] = defaultdict(set)
        self._spellings: Mapping[str, set[str]] = defaultdict(set)
        for place, (words, weights) in enumerate(names):
            for word, weight in zip(words, weights, strict=True):
                self._spellings[word.exact].add(word.text)
                if weight >= STRONG:
                    self._strong[word.text].add(place)
            # Where no word is strong, the rarest has the greatest weight.
            rarest = max(zip(weights, words, strict=True), key=lambda pair: pair[0])[1]
            self._all[rarest.text].add(place)
            for begin in range(len(words)):
                for count, text in enumerate(accumulate(one.exact for one in words[begin:])):
                    (self._several if count else self._one)[text].add(place)
        texts = {text for found in (self._strong, self._all) for text in found}
        self._letters = sorted(one for one in texts if len(one) >= _SHORTEST_ALIKE and not one.isdecimal())

    def of(self, said: Sequence[Word]) -> list[int]:
        """In the order of the names."""
        found: set[int] = set()
        for text in self._meant(said):
            found |= self._strong.get(text, set()) | self._all.get(text, set())
        for first in range(len(said)):
            for count, text in enumerate(accumulate(one.exact for one in said[first : first + RUN])):
                found |= self._several.get(text, set())
                found |= self._one.get(text, set()) if count else set()
        return sorted(found)

    def _meant(self, said: Sequence[Word]) -> Iterable[str]:
        """The words of names that a word of the question is, or is like."""
        for one in {word.text for word in said}:
            yield one
            if len(one) >= 3 and not one.isdecimal():
                yield from (text for text in self._letters if abs(len(text) - len(one)) <= 2 and likeness(text, one))
                yield from (text for text in self._letters if text.startswith(one) or one.startswith(text))
        for exact in {word.exact for word in said}:
            yield from self._spellings.get(exact, ())
