"""One machine's assistant as its doors use it (terminal, page, dashboard): one understanding for all, and for each
person their own conversation, notes and corrections."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

from models.assistant.assistant import Assistant, Higher, Session
from models.assistant.corrections import Corrections
from models.assistant.diary import Diary
from models.assistant.facts import Facts
from models.assistant.notes import Notes
from models.assistant.on_a_thread import UnderstandingThread
from models.assistant.opening import open_understanding
from models.assistant.reply import Policy, Said, Tier
from models.assistant.understanding.choice import Understanding
from node.clock import Clock

MOST_SESSIONS = 256


class Desk:
    """Safe from any thread; a conversation's questions are answered one after another. Nothing is loaded before the
    first question. open_: None for the weights that this machine has. higher: as `Assistant` takes it."""

    def __init__(
        self,
        home: Path,
        clock: Clock,
        *,
        tier: Tier = "device",
        higher: Higher | None = None,
        passphrase: Callable[[], str | None] = lambda: None,
        open_: Callable[[], Understanding] | None = None,
    ) -> None:
        self._clock, self._tier, self._higher = clock, tier, higher
        self.diary = Diary(home, passphrase)
        self.understanding = UnderstandingThread(open_ or (lambda: open_understanding(home)))
        self._sessions: OrderedDict[tuple[str, str], tuple[Session, threading.Lock]] = OrderedDict()
        self._lock = threading.Lock()

    def stream(
        self, facts: Facts, question: str | bytes, policy: Policy, owner: str = "", conversation: str = ""
    ) -> Iterator[Said]:
        """As `Assistant.stream`, with what it raises. owner: whose notes; conversation: whose yes is whose."""
        session, one_by_one = self.session(owner, conversation)
        assistant = Assistant(
            self.understanding,
            facts,
            self.notes(owner),
            wall_ms=self._clock.wall_ms,
            monotonic_ms=self._clock.monotonic_ms,
            tier=self._tier,
            higher=self._higher,
        )
        with one_by_one:
            yield from assistant.stream(question, session, policy)

    def session(self, owner: str, conversation: str) -> tuple[Session, threading.Lock]:
        """The oldest are forgotten first: a question back to a person who is long gone stays unanswered."""
        with self._lock:
            found = self._sessions.pop((owner, conversation), None) or (Session(), threading.Lock())
            self._sessions[owner, conversation] = found
            if len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
            return found

    def notes(self, owner: str = "") -> Notes:
        return Notes(self.diary, owner)

    def corrections(self, owner: str = "") -> Corrections:
        return Corrections(self.diary, owner)

    def close(self) -> None:
        self.understanding.close()
        self.diary.close()
