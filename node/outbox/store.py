"""The outbox's rows in SQLite."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import msgspec

from node.errors import OutboxInUse
from node.file_lock import lock_beside
from node.outbox.entry import Entry, Key
from node.outbox.queue import Batch, Loss
from node.outbox.ranges import Range, SeqRanges
from node.sqlite import connect_or_set_aside, set_aside, transaction
from protocol.ids import BootId

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE message (
    boot TEXT NOT NULL, seq INTEGER NOT NULL, delivery TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,
    PRIMARY KEY (boot, seq)
) WITHOUT ROWID;
CREATE TABLE boot (id INTEGER PRIMARY KEY, boot TEXT NOT NULL UNIQUE, low INTEGER NOT NULL, high INTEGER NOT NULL);
CREATE TABLE loss (boot TEXT NOT NULL, reason TEXT NOT NULL, ranges BLOB NOT NULL, PRIMARY KEY (boot, reason));
"""
_RANGES = msgspec.json.Decoder(tuple[Range, ...])

log = logging.getLogger(__name__)


class OutboxStore:
    """One SQLite file, written by one process. One thread at a time: the outbox sees to that.

    Methods raise sqlite3.Error when the disk refuses; node.sqlite.is_damage tells damage from the rest. Opening raises
    OutboxInUse (KF46) when another process has the file, and StoreNewer (KF51).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set_aside: list[Path] = []
        self.commits = 0
        self.disk_bytes = 0
        self._lock = _lock(path)
        try:
            self._connection = self._open()
        except BaseException:
            self._lock.close()
            raise

    def restore(self, boot: BootId) -> tuple[list[Entry], list[Loss]]:
        """What earlier processes left, oldest first, without payloads. Numbers that an earlier boot was known to hold
        and that have no row died with its memory: they become losses for the reason `restart`."""
        with transaction(self._connection) as sql:
            for earlier, low, high in sql.execute(
                "SELECT boot, low, high FROM boot WHERE boot != ?", (boot,)
            ).fetchall():
                self._close_books(sql, earlier, low, high)
            sql.execute("DELETE FROM boot WHERE boot NOT IN (SELECT boot FROM message)")
        rows = self._connection.execute(
            "SELECT m.boot, seq, delivery, topic, length(payload) FROM message m LEFT JOIN boot b USING (boot) "
            "ORDER BY b.id, seq"
        )
        entries = [
            Entry(boot, seq, delivery, topic, payload=None, size_bytes=size, on_disk=True)
            for boot, seq, delivery, topic, size in rows
        ]
        losses = [
            Loss(boot, reason, _RANGES.decode(ranges))
            for boot, reason, ranges in self._connection.execute("SELECT boot, reason, ranges FROM loss")
        ]
        return entries, losses

    def apply(self, batch: Batch) -> None:
        """One synced transaction."""
        before = _written_bytes()
        with transaction(self._connection) as sql:
            sql.executemany(
                "INSERT OR REPLACE INTO message VALUES (?, ?, ?, ?, ?)",
                [(one.boot, one.seq, one.delivery, one.topic, one.payload) for one in batch.inserts],
            )
            sql.executemany("DELETE FROM message WHERE boot = ? AND seq = ?", batch.deletes)
            for loss in batch.losses:
                self._put_loss(sql, loss)
            sql.execute(
                "INSERT INTO boot (boot, low, high) VALUES (?1, ?2, ?3) "
                "ON CONFLICT (boot) DO UPDATE SET low = ?2, high = ?3",
                (batch.boot, batch.low, batch.high),
            )
        self.commits += 1
        self.disk_bytes += _written_bytes() - before

    def payloads(self, keys: Iterable[Key]) -> dict[Key, bytes]:
        """The payloads of these rows; a key without a row is left out."""
        found: dict[Key, bytes] = {}
        for key in keys:
            row = self._connection.execute("SELECT payload FROM message WHERE boot = ? AND seq = ?", key).fetchone()
            if row is not None:
                found[key] = row[0]
        return found

    def replace_damaged(self) -> None:
        """Set the file aside and begin a fresh one."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        self._note_aside(set_aside(self.path))
        self._connection = self._open()

    def close(self) -> None:
        self._connection.close()
        self._lock.close()

    def _open(self) -> sqlite3.Connection:
        connection, aside = connect_or_set_aside(self.path, newest=SCHEMA_VERSION, synchronous="FULL")
        if aside is not None:
            self._note_aside(aside)
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        return connection

    def _note_aside(self, aside: Path) -> None:
        self.set_aside.append(aside)
        log.error("the outbox %s was damaged; it was set aside as %s", self.path, aside.name)

    def _close_books(self, sql: sqlite3.Connection, boot: BootId, low: int, high: int) -> None:
        present = {row[0] for row in sql.execute("SELECT seq FROM message WHERE boot = ?", (boot,))}
        missing = SeqRanges()
        for seq in range(low, high + 1):
            if seq not in present:
                missing.add(seq, seq)
        if len(missing):
            self._put_loss(sql, Loss(boot, "restart", missing.ranges()))
        sql.execute("UPDATE boot SET low = high + 1 WHERE boot = ?", (boot,))

    @staticmethod
    def _put_loss(sql: sqlite3.Connection, loss: Loss) -> None:
        if loss.ranges:
            values = (loss.boot, loss.reason, msgspec.json.encode(loss.ranges))
            sql.execute("INSERT OR REPLACE INTO loss VALUES (?, ?, ?)", values)
        else:
            sql.execute("DELETE FROM loss WHERE boot = ? AND reason = ?", (loss.boot, loss.reason))


def _lock(path: Path) -> TextIO:
    try:
        return lock_beside(path)
    except OSError as error:
        raise OutboxInUse(path=path) from error


def _written_bytes() -> int:
    """What this thread has caused to be written to storage so far (Linux; 0 elsewhere)."""
    try:
        text = Path("/proc/thread-self/io").read_text("ascii")
    except OSError:
        return 0
    return int(text.partition("\nwrite_bytes: ")[2].partition("\n")[0] or 0)
