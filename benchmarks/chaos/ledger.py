"""What an agent said, written down beside its outbox: the bench's own account, which no part of Kinflow reads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from msgspec import DecodeError, json

from node.link import Link
from protocol.messages import Alarm, Message
from protocol.topics import Topic

Step = Literal["made", "kept"]


class Entry(NamedTuple):
    """step: `made` is written before the outbox gets the alarm, `kept` after it has returned. An alarm that was made
    and not kept, because its process was killed in between, was promised to nobody."""

    step: Step
    source: str
    boot: str
    seq: int
    alarm: str
    text: str


class Ledger:
    """Each entry is on the disk when write() returns. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        # What a kill cut short stays a line of its own.
        self._file.write(b"\n")
        self._lock = threading.Lock()

    def write(self, step: Step, alarm: Alarm) -> None:
        line = json.encode([step, alarm.source, alarm.boot, alarm.seq, alarm.alarm, alarm.text]) + b"\n"
        with self._lock:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class LedgerLink(Link):
    """A link whose alarms are written down. Set `ledger` before start()."""

    ledger: Ledger

    def send(self, topic: Topic[Any], message: Message, item: str = "", wait: bool = False) -> bool:
        if not isinstance(message, Alarm):
            return super().send(topic, message, item, wait)
        self.ledger.write("made", message)
        sent = super().send(topic, message, item, wait)
        self.ledger.write("kept", message)
        return sent


def entries(path: Path) -> Iterator[Entry]:
    """Whole entries; what a kill cut short is left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                yield Entry(*json.decode(line))
            except (DecodeError, TypeError):
                continue
