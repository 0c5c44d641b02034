"""A transaction is kept whole or not at all, also when SQLite itself gives it up."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from node.sqlite import connect, transaction


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    made = connect(tmp_path / "some.db", newest=0)
    made.execute("CREATE TABLE note (text)")
    return made


def notes(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM note").fetchone()[0])


def test_a_block_that_ends_is_kept(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        connection.execute("INSERT INTO note VALUES ('kept')")
    assert notes(connection) == 1


def test_a_block_that_fails_leaves_nothing(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE UNIQUE INDEX single ON note (text)")
    with pytest.raises(sqlite3.IntegrityError), transaction(connection):
        connection.executemany("INSERT INTO note VALUES (?)", [("lost",), ("lost",)])
    assert notes(connection) == 0
    assert not connection.in_transaction


def test_a_full_file_is_told_as_such_although_sqlite_has_rolled_back(connection: sqlite3.Connection) -> None:
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"), transaction(connection):
        connection.execute("INSERT INTO note VALUES (zeroblob(100000))")
    assert notes(connection) == 0
    assert not connection.in_transaction
