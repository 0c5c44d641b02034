"""The file accounts.db: opened, migrated, and shared by the threads of one process and by other processes."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_server.accounts import migrations
from edge_server.errors import AccountsUnusable
from node.errors import StoreDamaged, StoreNewer
from node.sqlite import connect, transaction

FILE_NAME = "accounts.db"


class AccountsFile:
    """Opening never raises: a file that can't be used makes every question raise AccountsUnusable (KF211), so that the
    edge server goes on steering while nobody but the machine's own key is let in. Never is it set aside by itself: a
    fresh, empty one would open the door."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._problem = ""
        self._connection: sqlite3.Connection | None = None
        if path is None:
            self._problem = "there is none"
            return
        try:
            self._connection = _open(path)
        except (OSError, sqlite3.Error, StoreDamaged, StoreNewer) as error:
            self._problem = f"{type(error).__name__}: {error}"

    def ask(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        with self._using() as connection:
            cursor = connection.execute(statement, parameters)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """All of the block or nothing; it is on the disk afterwards."""
        with self._using() as connection:
            if connection.in_transaction:  # a change within a change is part of it
                yield connection
                return
            with transaction(connection):
                yield connection

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._connection is None:
                raise AccountsUnusable(path=str(self.path), detail=self._problem or "it is closed")
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise AccountsUnusable(path=str(self.path), detail=str(error)) from error

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    # SQLite gives its log the permissions of the file, so it is made for its owner alone before SQLite sees it.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    steps = migrations.steps()
    connection = connect(path, newest=len(steps))
    try:
        _migrate(connection, steps)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, steps: list[Any]) -> None:
    with transaction(connection):
        done = int(connection.execute("PRAGMA user_version").fetchone()[0])
        for apply in steps[done:]:
            apply(connection)
        connection.execute(f"PRAGMA user_version = {len(steps)}")
