"""Opening the store's file: made or migrated when it is ours, refused when newer, set aside when damaged."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from sqlite_utils import Database

from edge_server.store import migrations
from node.errors import StoreNewer
from node.sqlite import BUSY_TIMEOUT_MS, is_damage, set_aside, transaction

FILE_NAME = "edge.db"
CHECK_UP_TO_BYTES = 256 * 1024 * 1024
# How long the log grows before it is folded into the file: 8 MB.
LOG_PAGES = 2_000
INCREMENTAL = 2


@dataclass(frozen=True)
class OpenStore:
    """quarantined: where a damaged file was moved to, when one was found."""

    connection: sqlite3.Connection
    quarantined: Path | None = None


def open_store(path: Path) -> OpenStore:
    """The writer's connection. Raises StoreNewer (KF51) and leaves the file as it is when a newer Kinflow wrote it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return OpenStore(_open(path))
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
    aside = set_aside(path)
    return OpenStore(_open(path), aside)


def open_reader(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000
    )
    connection.execute("PRAGMA query_only = 1")
    return connection


def _open(path: Path) -> sqlite3.Connection:
    _refuse_newer(path)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000)
    try:
        if not path.stat().st_size:
            # Before anything else is written: it holds from the first page on.
            connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        _check(connection, path)
        _able_to_shrink(connection, path)
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_newer(path: Path) -> None:
    """Look without touching: read-only, so that not even a journal is made beside a file that isn't ours."""
    if not path.exists():
        return
    with sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True) as connection:
        found = _version(connection)
    connection.close()
    known = len(migrations.steps())
    if found > known:
        raise StoreNewer(path=str(path), found=found, known=known)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """A large file is not read through at each start: damage in it is met, and handled, where it is read."""
    if path.stat().st_size > CHECK_UP_TO_BYTES:
        return
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        error = sqlite3.DatabaseError(found)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def _able_to_shrink(connection: sqlite3.Connection, path: Path) -> None:
    """A file of before can't give free pages back until it is written anew, once. A large one is left as it is: that
    would take long, and twice its room; its free pages are used again."""
    size = path.stat().st_size
    if connection.execute("PRAGMA auto_vacuum").fetchone()[0] == INCREMENTAL or size > CHECK_UP_TO_BYTES:
        return
    if shutil.disk_usage(path.parent).free > 3 * size:
        connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
        connection.execute("VACUUM")


def _migrate(connection: sqlite3.Connection) -> None:
    store = Database(connection)
    for number, apply in enumerate(migrations.steps(), start=1):
        if number <= _version(connection):
            continue
        with transaction(connection):
            apply(store)
            connection.execute(f"PRAGMA user_version = {number}")
