"""Notes: what somebody asked to be remembered, found again by the words of a topic. They stay on this machine."""

from __future__ import annotations

import re
from collections.abc import Sequence

from models.assistant.diary import Diary, Entry
from models.assistant.summary import COMMON_WORDS
from models.assistant.tools import plain_text

LONGEST = 2_000
_WORD = re.compile(r"[\w']+")
_ALL = frozenset(("", "all", "all notes", "everything", "my notes", "notes"))


class Notes:
    """owner: whose; nobody reads another's."""

    def __init__(self, diary: Diary, owner: str = "") -> None:
        self._diary, self._owner = diary, owner

    def remember(self, text: str, now_ms: int) -> Entry:
        return self._diary.add("note", self._owner, now_ms, {"text": text[:LONGEST]})

    def all(self) -> list[Entry]:
        return self._diary.entries("note", self._owner)

    def recall(self, topic: str) -> list[Entry]:
        """Those that a topic fits best, the newest first; all of them for a topic without words."""
        notes = self.all()
        return [notes[place] for place in reversed(fitting(topic, [str(one.body["text"]) for one in notes]))]

    def forget(self, numbers: Sequence[int]) -> int:
        return self._diary.delete("note", self._owner, list(numbers))


def fitting(topic: str, texts: Sequence[str]) -> list[int]:
    """The places of those texts that share the most of the topic's words, in their order; none where no word is
    shared. A word counts as shared with another that begins with it or that it begins with, from four letters on."""
    if plain_text(topic) in _ALL:
        return list(range(len(texts)))
    wanted = _words(topic)
    shared = [sum(any(_alike(one, other) for other in _words(text)) for one in wanted) for text in texts]
    best = max(shared, default=0)
    return [place for place, count in enumerate(shared) if best and count == best]


def _words(text: str) -> set[str]:
    return {one for one in _WORD.findall(text.lower()) if one not in COMMON_WORDS}


def _alike(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return one == other or (len(short) >= 4 and long.startswith(short))
