"""Corrections: a better answer that somebody gave. Kept, listed and deletable; nothing learns from them by itself."""

from __future__ import annotations

from models.assistant.diary import Diary, Entry
from models.assistant.question import LIMIT, read_question
from models.errors import NotInDiary


class Corrections:
    """owner: whose; nobody sees another's."""

    def __init__(self, diary: Diary, owner: str = "") -> None:
        self._diary, self._owner = diary, owner

    def add(self, question: str, answer: str, better: str, tool: str, now_ms: int) -> Entry:
        """better: as the person put it. Raises QuestionUnfit (KF487) for one that is no text."""
        body = {"question": question[:LIMIT], "answer": answer, "better": read_question(better), "tool": tool[:40]}
        return self._diary.add("correction", self._owner, now_ms, body)

    def all(self) -> list[Entry]:
        """Oldest first."""
        return self._diary.entries("correction", self._owner)

    def delete(self, number: int) -> None:
        """Raises NotInDiary (KF497) where there is none of that number."""
        if not self._diary.delete("correction", self._owner, [number]):
            raise NotInDiary(kind="correction", name=str(number))
