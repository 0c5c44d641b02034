"""The assistant behind the device's page: made when somebody first asks, so that a device nobody asks has none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from models.assistant.desk import Desk
    from models.assistant.diary import Entry
    from models.assistant.facts import Facts

PREFIX = "/api/assistant"


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """conversation: what belongs together, so that a yes finds what was asked back."""

    question: str
    conversation: str = ""
    max_tier: Literal["device", "edge", "cloud"] = "device"
    share_notes: bool = False
    too_long: Literal["refuse", "newest", "summarise"] = "refuse"


class Better(msgspec.Struct, forbid_unknown_fields=True):
    """The answer that a person would have given."""

    question: str
    answer: str
    better: str
    tool: str = ""


@dataclass(frozen=True)
class Parts:
    """tiers: those that may answer here, this one first."""

    desk: Desk
    facts: Facts
    tiers: tuple[str, ...]
    wall_ms: Callable[[], int]


class PageAssistant:
    """Thread-safe. All raise KinflowError where something can't be done."""

    def __init__(self, make: Callable[[], Parts]) -> None:
        self._make = make
        self._made: Parts | None = None
        self._lock = threading.Lock()

    @property
    def parts(self) -> Parts:
        with self._lock:
            self._made = self._made or self._make()
            return self._made

    def about(self) -> dict[str, object]:
        return {"tiers": self.parts.tiers}

    def ask(self, asked: Question) -> Iterator[bytes]:
        """Lines of JSON. Raises QuestionUnfit (KF487) before the first."""
        from models.assistant.reply import Policy  # noqa: PLC0415

        policy = Policy(max_tier=asked.max_tier, share_notes=asked.share_notes, too_long=asked.too_long)
        parts = self.parts
        return parts.desk.lines(parts.facts, asked.question, policy, conversation=asked.conversation[:64])

    def corrections(self) -> list[dict[str, object]]:
        """Newest first."""
        return [_told(one) for one in reversed(self.parts.desk.corrections().all())]

    def correct(self, said: Better) -> dict[str, object]:
        kept = self.parts.desk.corrections()
        return _told(kept.add(said.question, said.answer, said.better, said.tool, self.parts.wall_ms()))

    def withdraw(self, number: str) -> bool:
        """False where there is none of that number."""
        from models.errors import NotInDiary  # noqa: PLC0415

        if not number.isascii() or not number.isdecimal() or len(number) > 18:
            return False
        try:
            self.parts.desk.corrections().delete(int(number))
        except NotInDiary:
            return False
        return True

    def close(self) -> None:
        with self._lock:
            if self._made is not None:
                self._made.desk.close()


def _told(entry: Entry) -> dict[str, object]:
    return {"id": entry.id, "made_ms": entry.made_ms, **entry.body}
