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
from edge_server.store.file import open_store
from edge_server.store.reader import StoreReader
from edge_server.store.rows import LogEntry
from node.sqlite import set_aside, transaction
from protocol.ids import DeviceId

LIMIT_REJECTS = 1_000


class Store:
    """One thread writes; `reader` is for all. Raises StoreNewer (KF51); a damaged file is set aside (`quarantined`)."""

    def __init__(self, path: Path) -> None:
        opened = open_store(path)
        self.path = path
        self.quarantined = opened.quarantined
        self.reader = StoreReader(path)
        self._connection = opened.connection

    def recall(self) -> State:
        return ingested.recall(self._connection)

    def transaction(self, write: Callable[[sqlite3.Connection], object]) -> None:
        """All of `write` or nothing; it is on the disk when this returns. Raises sqlite3.Error."""
        with transaction(self._connection):
            write(self._connection)

    def replace(self) -> Path:
        """Set the damaged file aside and begin a fresh one."""
        self._connection.close()
        aside = set_aside(self.path)
        self._connection = open_store(self.path).connection
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
