"""Rollouts on the disk: one row each, written whole before anything follows from it."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec

from edge_server.updates.rollout import Rollout
from node.sqlite import connect_or_set_aside, transaction

SCHEMA_VERSION = 1
KEPT = 50


class RolloutStore:
    """Any thread. Raises sqlite3.Error when the disk refuses, StoreNewer (KF51)."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection, _ = connect_or_set_aside(path, newest=SCHEMA_VERSION)
        if self._connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            self._connection.executescript(
                "BEGIN; CREATE TABLE rollouts "
                "(number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, rollout BLOB NOT NULL);"
                f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )

    def latest(self) -> Rollout | None:
        found = self.all(limit=1)
        return found[0] if found else None

    def all(self, limit: int = KEPT) -> list[Rollout]:
        """The newest first."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT rollout FROM rollouts ORDER BY number DESC LIMIT ?", (limit,)
            ).fetchall()
        return [msgspec.json.decode(row[0], type=Rollout) for row in rows]

    def save(self, rollout: Rollout) -> None:
        data = msgspec.json.encode(rollout)
        with self._lock, transaction(self._connection) as connection:
            connection.execute(
                "INSERT INTO rollouts (id, rollout) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET rollout = ?2",
                (rollout.id, data),
            )
            connection.execute("DELETE FROM rollouts WHERE number <= (SELECT max(number) FROM rollouts) - ?", (KEPT,))

    def close(self) -> None:
        with self._lock:
            self._connection.close()
