"""Files written and removed on a thread of their own, in the order of asking: whoever asks computes meanwhile."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

HALF = ".half"
# What may wait to be written: memory beside the cache's own.
MOST_BYTES = 32_000_000


@dataclass(frozen=True)
class Done:
    """ticket: of the file that was written. error: None where it is there now."""

    ticket: int
    error: OSError | None


class Writer:
    """Asked by one thread. The thread that writes begins with the first file."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._bytes, self._tickets = most_bytes, 0, 0
        self._changed = threading.Condition()
        self._waiting: deque[Callable[[], None]] = deque()
        self._done: list[Done] = []
        self._busy, self._ends = False, False
        self._thread: threading.Thread | None = None

    def write(self, path: Path, content: tuple[bytes, ...]) -> int | None:
        """A ticket, by which `done` tells of it; None where too much waits already."""
        size = sum(map(len, content))
        with self._changed:
            if self._bytes and self._bytes + size > self._most:
                return None
            self._bytes += size
            self._tickets += 1
            ticket = self._tickets
        self._ask(lambda: self._write(path, content, ticket, size))
        return ticket

    def remove(self, path: Path) -> None:
        if self._thread is None:
            remove(path)
        else:
            self._ask(lambda: remove(path))

    def done(self) -> list[Done]:
        """What has become of files since it was asked last."""
        with self._changed:
            found, self._done = self._done, []
        return found

    def settle(self) -> None:
        """Until nothing waits."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._busy)

    def close(self) -> None:
        """What waits is written before."""
        with self._changed:
            self._ends = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _ask(self, work: Callable[[], None]) -> None:
        with self._changed:
            self._waiting.append(work)
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="prefix-writer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._ends)
                if not self._waiting:
                    return
                work, self._busy = self._waiting.popleft(), True
            work()

    def _write(self, path: Path, content: tuple[bytes, ...], ticket: int, size: int) -> None:
        error = None
        half = path.with_suffix(HALF)
        try:
            descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                for part in content:
                    file.write(part)
            half.replace(path)
        except OSError as refused:
            error = refused
            remove(half)
        with self._changed:
            self._bytes -= size
            self._done.append(Done(ticket, error))


def remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
