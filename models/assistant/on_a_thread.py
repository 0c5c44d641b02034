"""Understanding on a thread of its own: loaded with the first question, given back after some idle minutes.

So a process that nobody asks anything holds no weights, and whoever asks may come on any thread.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future

from models.assistant.understanding.choice import Choice, Entities, Understanding
from models.errors import AssistantBusy

IDLE_S = 600.0
MOST_WAITING = 8

_Asked = tuple[str, Entities, "Future[Choice]"]


class UnderstandingThread:
    """open: raises AssistantUntrained (KF486), or what it meets; it is tried again with the next question."""

    def __init__(self, open_: Callable[[], Understanding], idle_s: float = IDLE_S, waiting: int = MOST_WAITING) -> None:
        self._open, self._idle_s, self._most = open_, idle_s, waiting
        self._asked: queue.Queue[_Asked | None] = queue.Queue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._waiting = 0

    @property
    def loaded(self) -> bool:
        return self._thread is not None

    def choose(self, question: str, entities: Entities) -> Choice:
        """Raises what `open` or the understanding raises, and AssistantBusy (KF496)."""
        future: Future[Choice] = Future()
        with self._lock:
            if self._waiting >= self._most:
                raise AssistantBusy(waiting=self._waiting)
            self._waiting += 1
            self._asked.put((question, entities, future))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="understanding", daemon=True)
                self._thread.start()
        try:
            return future.result()
        finally:
            with self._lock:
                self._waiting -= 1

    def close(self) -> None:
        """Wait for the question under way, and give all back."""
        with self._lock:
            thread = self._thread
            if thread is not None:
                self._asked.put(None)
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        understanding: Understanding | None = None
        try:
            while (asked := self._next()) is not None:
                question, entities, future = asked
                try:
                    understanding = understanding or self._open()
                    future.set_result(understanding.choose(question, entities))
                except BaseException as error:
                    future.set_exception(error)
        finally:
            if understanding is not None:
                understanding.close()

    def _next(self) -> _Asked | None:
        try:
            asked = self._asked.get(timeout=self._idle_s)
        except queue.Empty:
            asked = None
        if asked is None:
            with self._lock:
                # One that came in this moment is still answered.
                asked = None if self._asked.empty() else self._asked.get_nowait()
                if asked is None:
                    self._thread = None
        return asked
