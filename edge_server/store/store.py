"""The store: its file, the writer's connection and the readers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from edge_server.fleet.device import Device
from edge_server.ingest.core import State
from edge_server.ingest.effects import Effect
from edge_server.ingest.inbox import Reject
from edge_server.store import ingested
from edge_server.store.calendar import Calendar
from edge_server.store.file import LOG_PAGES, open_store
from edge_server.store.reader import StoreReader
from edge_server.store.retention import Limits
from edge_server.store.rows import LogEntry
from edge_server.store.sweep import keep_doubt, read_calendar, set_right, sweep
from node.sqlite import BUSY_TIMEOUT_MS, set_aside, transaction
from protocol.ids import DeviceId

LIMIT_REJECTS = 1_000
# Free pages that the file keeps for what comes next; how many of the rest go at a time, at 4 KiB each.
SPARE_PAGES = 2_000
GIVE_BACK_PAGES = 500
SHORT_LOG_PAGES = 100


class Store:
    """One thread writes; `reader` is for all. Raises StoreNewer (KF51); a damaged file is set aside (`quarantined`)."""

    def __init__(self, path: Path) -> None:
        opened = open_store(path)
        self.path = path
        self.quarantined = opened.quarantined
        self.reader = StoreReader(path)
        self._connection = opened.connection
        self._pressed = False

    def recall(self) -> State:
        return ingested.recall(self._connection)

    def transaction(self, write: Callable[[sqlite3.Connection], object]) -> None:
        """All of `write` or nothing; it is on the disk when this returns. Raises sqlite3.Error."""
        with transaction(self._connection):
            write(self._connection)

    def calendar(self, wall_ms: int, mono_ms: int) -> Calendar:
        """Which day it is for forgetting, to go on from."""
        return read_calendar(self._connection, wall_ms, mono_ms)

    def keep_calendar(self, before: Calendar, calendar: Calendar) -> None:
        """Keep what has changed; what came under a clock that has been put right is put right as well. Raises
        sqlite3.Error."""
        with transaction(self._connection):
            keep_doubt(self._connection, calendar.doubt)
            if calendar.was_put_right(before):
                set_right(self._connection, calendar.wall_ms, before.doubt.ahead_ms)

    def forget(self, limits: Limits, now_ms: int, pressed: bool) -> int:
        """One slice of what is due, and some of the room of what went before back to the disk; returns how many rows
        went. pressed: the disk is short of room. Raises sqlite3.Error."""
        with transaction(self._connection):
            gone = sweep(self._connection, limits, now_ms)
        self._give_back(limits.size_mb, pressed)
        return gone

    def _give_back(self, size_mb: float, pressed: bool) -> None:
        """Spare pages are kept for what comes next, but not while room is short: then the log is kept short as well."""
        connection = self._connection
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        if free and (pressed or pages * size > size_mb * 1e6 or free > max(SPARE_PAGES, pages // 10)):
            # As a script: execute() would stop after the first page, since each is a row without columns.
            connection.executescript(f"PRAGMA incremental_vacuum({GIVE_BACK_PAGES})")
        if pressed != self._pressed:
            self._pressed = pressed
            connection.execute(f"PRAGMA wal_autocheckpoint = {SHORT_LOG_PAGES if pressed else LOG_PAGES}")
        if pressed:
            # Readers may hold it back: then the next time.
            connection.execute("PRAGMA busy_timeout = 0")
            try:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")

    def replace(self) -> Path:
        """Set the damaged file aside and begin a fresh one."""
        self._connection.close()
        aside = set_aside(self.path)
        self._connection = open_store(self.path).connection
        self._pressed = False
        self.reader.reopen()
        return aside

    def close(self) -> None:
        """Fold the log into the file, so that a copy of the file alone is whole."""
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()


def write_effects(connection: sqlite3.Connection, effects: Iterable[Effect]) -> None:
    ingested.write(connection, effects)


def write_lines(connection: sqlite3.Connection, lines: Iterable[LogEntry]) -> list[LogEntry]:
    """Add to the event log; returns the lines with their ids."""
    return [
        msgspec.structs.replace(
            line,
            id=connection.execute(
                "INSERT INTO events VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",
                (line.at_ms, line.kind, line.severity, line.device, line.subject, line.text, line.code),
            ).lastrowid
            or 0,
        )
        for line in lines
    ]


def write_devices(connection: sqlite3.Connection, devices: Iterable[Device], removed: Iterable[DeviceId]) -> None:
    for device in devices:
        row = {**msgspec.to_builtins(device), "cameras": msgspec.json.encode(device.cameras).decode()}
        columns, marks = ", ".join(row), ", ".join(f":{column}" for column in row)
        connection.execute(f"INSERT OR REPLACE INTO devices ({columns}) VALUES ({marks})", row)  # noqa: S608
    for gone in removed:
        connection.execute("DELETE FROM devices WHERE device = ?", (gone,))
        connection.execute("DELETE FROM health WHERE source = ?", (gone,))


def write_rejects(connection: sqlite3.Connection, rejects: Sequence[Reject]) -> None:
    if not rejects:
        return
    rows = [(one.at_ms, one.code, one.topic, one.detail, one.size_bytes, one.sample) for one in rejects]
    connection.executemany("INSERT INTO rejects VALUES (NULL, ?, ?, ?, ?, ?, ?)", rows)
    connection.execute("DELETE FROM rejects WHERE id <= (SELECT max(id) FROM rejects) - ?", (LIMIT_REJECTS,))
