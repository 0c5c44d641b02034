"""The bounded queue between the broker's thread and the one thread that writes."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from edge_server.ingest.core import Arrival
from protocol.ids import DeviceId

LIMIT_ITEMS = 10_000


@dataclass(frozen=True)
class Reject:
    """A message that could not be read: what was wrong with it, and its beginning."""

    at_ms: int
    code: str
    topic: str
    detail: str
    size_bytes: int
    sample: bytes


@dataclass(frozen=True)
class Cleared:
    """Somebody cleared the device's retained registration."""

    device: DeviceId


@dataclass(frozen=True)
class Job:
    run: Callable[[sqlite3.Connection], Any]
    done: Future[Any]


Item = Arrival | Reject | Cleared | Job


class Inbox:
    """What is `precious` is always taken; the rest is refused while `limit` items wait: its sender still has it."""

    def __init__(self, limit: int = LIMIT_ITEMS) -> None:
        self._limit = limit
        self._items: deque[Item] = deque()
        self._ready = threading.Condition()
        self._shed = 0

    @property
    def shed(self) -> int:
        return self._shed

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item, precious: bool) -> bool:
        with self._ready:
            if not precious and len(self._items) >= self._limit:
                self._shed += 1
                return False
            self._items.append(item)
            if len(self._items) == 1:
                self._ready.notify()
            return True

    def take(self, most: int, timeout_s: float, linger_s: float) -> list[Item]:
        """Wait for a first item, then for linger_s for company: a commit costs the same for one as for a hundred."""
        with self._ready:
            if not self._items and not self._ready.wait_for(self._items.__len__, timeout_s):
                return []
        time.sleep(linger_s)
        with self._ready:
            return [self._items.popleft() for _ in range(min(most, len(self._items)))]
