"""The bounded queue between the broker's thread and the one thread that writes."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from edge_server.ingest.core import Arrival
from edge_server.ingest.effects import RecoverAlarm
from protocol.ids import DeviceId
from protocol.messages import Alarm, Gap

# A few seconds' work: what waited longer would be old when it came out, and its device would have sent it again.
LIMIT_ITEMS = 4_000
MOST_PRECIOUS = 100_000


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


@dataclass(frozen=True)
class Recovered:
    """What the other edge server of a pair has stored; `also` is done in the same transaction, after it."""

    found: Sequence[RecoverAlarm]
    also: Callable[[sqlite3.Connection], object]
    done: Future[None]


Item = Arrival | Reject | Cleared | Job | Recovered


class Inbox:
    """What is `precious` is always taken, and taken out first: an alarm does not wait behind ten thousand observations.
    The rest is refused while `limit` items of it wait: its sender still has it. Of alarms and gaps, which come again
    too, there is a limit only so that memory has one."""

    def __init__(self, limit: int = LIMIT_ITEMS, most: int = MOST_PRECIOUS) -> None:
        self._limit = limit
        self._most = most
        self._precious: deque[Item] = deque()
        self._rest: deque[Item] = deque()
        self._ready = threading.Condition()
        self._shed = self._held_off = 0

    @property
    def shed(self) -> int:
        """Observations and the like that were refused. Never an alarm."""
        return self._shed

    @property
    def held_off(self) -> int:
        """Alarms and gaps that were refused for want of memory; their devices send them again until they are stored."""
        return self._held_off

    @property
    def full(self) -> bool:
        """Whether put() would refuse what is not precious."""
        return len(self._rest) >= self._limit

    def refuse(self) -> None:
        """Count one that was not even decoded, since there is no room for it."""
        with self._ready:
            self._shed += 1

    def __len__(self) -> int:
        return len(self._precious) + len(self._rest)

    def put(self, item: Item, precious: bool) -> bool:
        with self._ready:
            if not precious and len(self._rest) >= self._limit:
                self._shed += 1
                return False
            if precious and len(self._precious) >= self._most and _comes_again(item):
                self._held_off += 1
                return False
            (self._precious if precious else self._rest).append(item)
            if len(self) == 1:
                self._ready.notify()
            return True

    def take(self, most: int, timeout_s: float, linger_s: float) -> list[Item]:
        """Wait for a first item, then for linger_s for company: a commit costs the same for one as for a hundred."""
        with self._ready:
            if not len(self) and not self._ready.wait_for(self.__len__, timeout_s):
                return []
        time.sleep(linger_s)
        with self._ready:
            taken = [self._precious.popleft() for _ in range(min(most, len(self._precious)))]
            return taken + [self._rest.popleft() for _ in range(min(most - len(taken), len(self._rest)))]


def _comes_again(item: Item) -> bool:
    return isinstance(item, Arrival) and isinstance(item.message, Alarm | Gap)
