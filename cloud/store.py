"""What the cloud keeps: which edge servers have joined, and the latest that each has said. One SQLite file."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from cloud.edge_view import EdgeRow
from cloud.receipt import Last, Verdict, judge
from node.sqlite import connect, transaction
from protocol.edge_status import EdgeStatus, decode_status, encode_status
from protocol.errors import KinflowError
from protocol.ids import BootId, DeviceId

FILE_NAME = "cloud.db"
# An edge that was started anew each minute for a day; older runs can't be told from new ones any more.
BOOTS_KEPT = 1_500

# Only ever appended to.
MIGRATIONS = (
    """
    CREATE TABLE edges (edge TEXT PRIMARY KEY, joined_ms INTEGER NOT NULL, revoked_ms INTEGER) STRICT;
    CREATE TABLE statuses (
        edge TEXT PRIMARY KEY REFERENCES edges, boot TEXT NOT NULL, seq INTEGER NOT NULL,
        received_ms INTEGER NOT NULL, status BLOB NOT NULL
    ) STRICT;
    CREATE TABLE boots (number INTEGER PRIMARY KEY, edge TEXT NOT NULL, boot TEXT NOT NULL, UNIQUE (edge, boot)) STRICT;
    """,
)


class CloudStore:
    """Safe from any thread. Raises StoreNewer (KF51), StoreDamaged (KF52)."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path, newest=len(MIGRATIONS))
        self._lock = threading.Lock()
        for number, script in enumerate(MIGRATIONS, start=1):
            if number > self._connection.execute("PRAGMA user_version").fetchone()[0]:
                self._connection.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT;")

    def join(self, edge: DeviceId, joined_ms: int) -> None:
        """An edge has joined at that time. One that has joined again is no longer revoked, and begins with a clean
        slate; told twice of the same joining, nothing changes."""
        with self._transaction() as sql:
            known = sql.execute("SELECT joined_ms FROM edges WHERE edge = ?", (edge,)).fetchone()
            if known is not None and known[0] == joined_ms:
                return
            sql.execute("DELETE FROM statuses WHERE edge = ?", (edge,))
            sql.execute("DELETE FROM boots WHERE edge = ?", (edge,))
            sql.execute("INSERT OR REPLACE INTO edges VALUES (?, ?, NULL)", (edge, joined_ms))

    def revoke(self, edge: DeviceId, now_ms: int) -> bool:
        """Whether there was such an edge."""
        with self._transaction() as sql:
            found = sql.execute("UPDATE edges SET revoked_ms = coalesce(revoked_ms, ?) WHERE edge = ?", (now_ms, edge))
            return found.rowcount > 0

    def receive(self, status: EdgeStatus, now_ms: int) -> Verdict | Literal["refused"]:
        """Keep a status if it is news; it is on the disk when this returns. refused: that edge has not joined, or was
        revoked. That the status comes from it has been proven by the caller."""
        with self._transaction() as sql:
            edge = sql.execute("SELECT revoked_ms FROM edges WHERE edge = ?", (status.edge,)).fetchone()
            if edge is None or edge[0] is not None:
                return "refused"
            row = sql.execute("SELECT boot, seq FROM statuses WHERE edge = ?", (status.edge,)).fetchone()
            last = Last(BootId(row[0]), row[1]) if row else None
            ended = {BootId(one) for (one,) in sql.execute("SELECT boot FROM boots WHERE edge = ?", (status.edge,))}
            verdict = judge(last, ended, status)
            if verdict == "new":
                if last is not None and last.boot != status.boot:
                    _remember(sql, status.edge, last.boot)
                sql.execute(
                    "INSERT OR REPLACE INTO statuses VALUES (?, ?, ?, ?, ?)",
                    (status.edge, status.boot, status.seq, now_ms, encode_status(status)),
                )
            return verdict

    def edges(self) -> list[EdgeRow]:
        with self._lock:
            rows = self._connection.execute(
                """SELECT edges.edge, joined_ms, revoked_ms, received_ms, status
                   FROM edges LEFT JOIN statuses ON statuses.edge = edges.edge ORDER BY edges.edge"""
            ).fetchall()
        return [
            EdgeRow(
                edge=DeviceId(edge),
                joined_ms=joined_ms,
                revoked_ms=revoked_ms,
                received_ms=received_ms,
                status=_decoded(status),
            )
            for edge, joined_ms, revoked_ms, received_ms, status in rows
        ]

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, transaction(self._connection):
            yield self._connection


def _decoded(status: bytes | None) -> EdgeStatus | None:
    """None also for one that another version wrote: the next report replaces it."""
    with suppress(KinflowError):
        return decode_status(status) if status is not None else None
    return None


def _remember(sql: sqlite3.Connection, edge: DeviceId, boot: BootId) -> None:
    sql.execute("INSERT OR IGNORE INTO boots (edge, boot) VALUES (?, ?)", (edge, boot))
    sql.execute(
        """DELETE FROM boots WHERE edge = ? AND number <=
           (SELECT number FROM boots WHERE edge = ? ORDER BY number DESC LIMIT 1 OFFSET ?)""",
        (edge, edge, BOOTS_KEPT),
    )
