"""Writing to the store from any thread: a job is handed to the one thread that writes, and joins its next commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, TypeVar

import msgspec

from edge_server.bus import Bus
from edge_server.events import Logged
from edge_server.store.rows import Correction, LogEntry, SignalEntry

T = TypeVar("T")
WAIT_S = 10.0


class Submit(Protocol):
    """Run a job inside the next transaction. The future is done after the commit, and failed when there was none."""

    def __call__(self, job: Callable[[sqlite3.Connection], T]) -> Future[T]: ...


class StoreWriter:
    """append_… return at once; what answers with a value waits for the commit and raises TimeoutError after WAIT_S."""

    def __init__(self, submit: Submit, bus: Bus) -> None:
        self._submit = submit
        self._bus = bus

    def append_signal(self, entry: SignalEntry) -> None:
        """Keep one decision about one intersection."""
        row = (
            entry.at_ms,
            entry.intersection,
            entry.controller,
            msgspec.json.encode(entry.phases).decode(),
            entry.reason,
            entry.command,
            entry.outcome,
        )
        self._submit(lambda store: _insert(store, "INSERT INTO signal_log VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", row))

    def append_event(self, entry: LogEntry) -> None:
        """Add a line to the event log; it is published as Logged once it is stored."""
        row = (entry.at_ms, entry.kind, entry.severity, entry.device, entry.subject, entry.text, entry.code)
        stored = self._submit(
            lambda store: _insert(store, "INSERT INTO events VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", row)
        )
        stored.add_done_callback(lambda done: self._logged(entry, done))

    def add_correction(self, correction: Correction) -> Correction:
        """Keep what a person said was wrong; returns it with its id."""
        row = (
            correction.made_ms,
            correction.mistake,
            correction.alarm,
            correction.source,
            correction.camera,
            correction.approach,
            correction.at_ms,
            correction.said,
            correction.congestion,
            correction.note,
        )
        statement = f"INSERT INTO corrections VALUES (NULL{', ?' * len(row)})"  # noqa: S608 (question marks only)
        number = self._submit(lambda store: _insert(store, statement, row)).result(WAIT_S)
        return msgspec.structs.replace(correction, id=number)

    def delete_correction(self, number: int) -> bool:
        """False when there is no such correction."""
        return self._submit(
            lambda store: store.execute("DELETE FROM corrections WHERE id = ?", (number,)).rowcount > 0
        ).result(WAIT_S)

    def _logged(self, entry: LogEntry, done: Future[int]) -> None:
        """A line that could not be stored is shown all the same, with id 0."""
        number = 0 if done.cancelled() or done.exception() else done.result()
        self._bus.publish(Logged(entry=msgspec.structs.replace(entry, id=number)))


def _insert(store: sqlite3.Connection, statement: str, row: tuple[object, ...]) -> int:
    return store.execute(statement, row).lastrowid or 0
