"""How Kinflow opens SQLite files: write-ahead log, patience with other readers, and no surprise from a bad file."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from node.errors import StoreDamaged, StoreNewer

Synchronous = Literal["OFF", "NORMAL", "FULL", "EXTRA"]

BUSY_TIMEOUT_MS = 5_000
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the file is damaged, rather than full, locked or read-only."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF in _DAMAGE


def is_full(error: sqlite3.Error) -> bool:
    """Whether an error says that the disk has no room."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF == sqlite3.SQLITE_FULL


def connect(path: Path, *, newest: int, synchronous: Synchronous = "FULL") -> sqlite3.Connection:
    """Open or make the file at `path`; the caller sees to it that one thread at a time uses the connection.

    newest: the highest user_version that the caller knows. Raises StoreNewer (KF51) when the file has a higher one, and
    StoreDamaged (KF52) when it is no sound SQLite file; both leave it as it is. Transactions are begun by hand
    (isolation_level None).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000)
    try:
        version = _prepare(connection, path, synchronous)
    except BaseException:
        connection.close()
        raise
    if version > newest:
        connection.close()
        raise StoreNewer(path=path, found=version, known=newest)
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of the block or nothing, and nobody else writes meanwhile; it is kept once the block has ended."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite ends it by itself on a full disk
            connection.execute("ROLLBACK")
        raise


def _prepare(connection: sqlite3.Connection, path: Path, synchronous: Synchronous) -> int:
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            raise StoreDamaged(path=path, detail=str(error)) from error
        raise
    if verdict != "ok":
        raise StoreDamaged(path=path, detail=verdict)
    return version


def set_aside(path: Path) -> Path:
    """Rename a damaged file, with its log, to the first free `<name>.corrupt-N`, and return that path."""
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def connect_or_set_aside(
    path: Path, *, newest: int, synchronous: Synchronous = "FULL"
) -> tuple[sqlite3.Connection, Path | None]:
    """Open the file; a damaged one is set aside (its new path is returned too) and a fresh one made."""
    try:
        return connect(path, newest=newest, synchronous=synchronous), None
    except StoreDamaged:
        aside = set_aside(path)
        return connect(path, newest=newest, synchronous=synchronous), aside
