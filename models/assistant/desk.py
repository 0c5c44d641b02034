"""One machine's assistant as its doors use it (terminal, page, dashboard): one understanding for all, and for each
person their own conversation, notes and corrections."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from models.assistant.assistant import Assistant, Higher, Session
from models.assistant.corrections import Corrections
from models.assistant.diary import Diary
from models.assistant.facts import Facts
from models.assistant.notes import Notes
from models.assistant.on_a_thread import UnderstandingThread
from models.assistant.question import shortened
from models.assistant.reply import Fault, Policy, Said, Tier
from models.assistant.understanding.choice import Understanding
from models.errors import AssistantBusy
from node.clock import Clock
from protocol.errors import KinflowError

MOST_SESSIONS = 256
# Each holds a thread of its door.
MOST_INSIDE = 8


def open_understanding(home: Path) -> Understanding:
    """With all that it brings (llama.cpp, NumPy), of which a process that nobody asks holds nothing."""
    from models.assistant.opening import open_understanding as open_here  # noqa: PLC0415

    return open_here(home)


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
        self._inside = 0

    def stream(
        self, facts: Facts, question: str | bytes, policy: Policy, owner: str = "", conversation: str = ""
    ) -> Iterator[Said]:
        """As `Assistant.stream`, with what it raises. owner: whose notes; conversation: whose yes is whose."""
        with self._lock:
            if self._inside >= MOST_INSIDE:
                raise AssistantBusy(waiting=self._inside)
            self._inside += 1
        try:
            yield from self._stream(facts, question, policy, owner, conversation)
        finally:
            with self._lock:
                self._inside -= 1

    def lines(
        self, facts: Facts, question: str | bytes, policy: Policy, owner: str = "", conversation: str = ""
    ) -> Iterator[bytes]:
        """The same as lines of JSON, for a door that speaks HTTP. What is no question raises before the first line;
        what fails later is the last line."""
        shortened(question, policy.too_long)
        said = self.stream(facts, question, policy, owner, conversation)

        def each() -> Iterator[bytes]:
            try:
                for one in said:
                    yield msgspec.json.encode(one) + b"\n"
            except KinflowError as error:
                fault = Fault(code=error.code, cause=error.cause_text, advice=error.advice_text)
                yield msgspec.json.encode(fault) + b"\n"

        return each()

    def _stream(
        self, facts: Facts, question: str | bytes, policy: Policy, owner: str, conversation: str
    ) -> Iterator[Said]:
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
