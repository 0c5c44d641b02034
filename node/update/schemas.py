"""Stores that a new version has migrated, brought back to what the version before knows; nothing in them is lost.

Before a trial the schema of every SQLite file of the home is noted: some kilobytes, however large the files are. On the
way back, one transaction for each file takes out the tables, columns and indexes that came with the new version. What
was stored meanwhile (an alarm, a row of the outbox) stays. It works as long as migrations add and don't take away,
which is the house's rule; a version whose migrations can't be taken back fails its self-test, before any switch.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from node.file_lock import lock_beside
from node.sqlite import BUSY_TIMEOUT_MS, transaction
from node.update.durable import write_durably

log = logging.getLogger(__name__)


class Table(Struct, frozen=True, kw_only=True):
    name: str
    sql: str
    columns: tuple[str, ...]


class Schema(Struct, frozen=True, kw_only=True):
    """version: PRAGMA user_version. others: the SQL of indexes, views and triggers, by name."""

    version: int
    tables: tuple[Table, ...] = ()
    others: dict[str, tuple[str, str]] = {}


Schemas = dict[str, Schema]


def note(home: Path) -> Schemas:
    """The schemas of all SQLite files of a home, by the file's path below it. What can't be read is left out: its own
    program deals with it."""
    found = {}
    for path in stores(home):
        with contextlib.suppress(sqlite3.Error), _opened(path, "ro") as connection:
            found[str(path.relative_to(home))] = schema_of(connection)
    return found


def stores(home: Path) -> list[Path]:
    """Of the home and of the folders in it; what a broker keeps is its own."""
    found = {*home.glob("*.db"), *home.glob("*/*.db")}
    return sorted(path for path in found if path.is_file() and not path.is_symlink() and path.parent.name != "broker")


def save(path: Path, schemas: Schemas) -> None:
    write_durably(path, msgspec.json.encode(schemas))


def load(path: Path) -> Schemas:
    """Empty when there is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Schemas)
    except (OSError, msgspec.DecodeError):
        return {}


def step_down(home: Path, schemas: Schemas) -> tuple[list[str], list[str]]:
    """Bring every store that has a higher schema number back. Returns the names of those that were, and of those that
    could not be: in use by another process, or changed in a way that can't be taken back (then left as they were)."""
    done, left = [], []
    for name, schema in sorted(schemas.items()):
        path = home / name
        if ".." in path.parts or not path.is_file():
            continue
        try:
            # A store that was not migrated may be in use: nothing has to be done with it.
            with _opened(path, "ro") as connection:
                if _version(connection) <= schema.version:
                    continue
            with lock_beside(path), _opened(path, "rw") as connection:
                take_back(connection, schema)
                done.append(name)
        except (OSError, sqlite3.Error) as error:
            log.error("the store %s was not brought back: %s", path, error)
            left.append(name)
    return done, left


def take_back(connection: sqlite3.Connection, schema: Schema) -> None:
    """One transaction. Raises sqlite3.Error and changes nothing when it can't be done."""
    connection.execute("PRAGMA foreign_keys = OFF")
    # Without this SQLite would rewrite the names in views and triggers that are about to go.
    connection.execute("PRAGMA legacy_alter_table = ON")
    with transaction(connection):
        now = schema_of(connection)
        for name, (kind, sql) in now.others.items():
            if schema.others.get(name) != (kind, sql):
                connection.execute(f"DROP {kind} IF EXISTS {_quoted(name)}")
        known = {table.name: table for table in schema.tables}
        for table in now.tables:
            if table.name not in known:
                connection.execute(f"DROP TABLE {_quoted(table.name)}")
            elif table.sql != known[table.name].sql:
                _rebuild(connection, table, known[table.name])
        present = schema_of(connection)
        for table in schema.tables:
            if table.name not in {one.name for one in present.tables}:
                raise sqlite3.DatabaseError(f"the table {table.name} is gone")
        for name, (_, sql) in schema.others.items():
            if name not in present.others:
                connection.execute(sql)
        connection.execute(f"PRAGMA user_version = {schema.version}")
        if schema_of(connection) != schema:
            raise sqlite3.DatabaseError("the schema that is left is another")


def schema_of(connection: sqlite3.Connection) -> Schema:
    tables, others = [], {}
    rows = connection.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    ).fetchall()
    for kind, name, sql in rows:
        if kind == "table":
            tables.append(Table(name=name, sql=sql, columns=_columns(connection, name)))
        else:
            others[name] = (str(kind).upper(), sql)
    return Schema(version=_version(connection), tables=tuple(tables), others=others)


def _rebuild(connection: sqlite3.Connection, now: Table, then: Table) -> None:
    """The table as it was, with the rows as they are. Columns that were taken away can't come back."""
    if missing := set(then.columns) - set(now.columns):
        raise sqlite3.DatabaseError(f"the column {then.name}.{min(missing)} is gone")
    columns = ", ".join(_quoted(column) for column in then.columns)
    aside = f"{then.name} before"
    connection.execute(f"ALTER TABLE {_quoted(then.name)} RENAME TO {_quoted(aside)}")
    connection.execute(then.sql)
    connection.execute(
        f"INSERT INTO {_quoted(then.name)} ({columns}) SELECT {columns} FROM {_quoted(aside)}"  # noqa: S608 (quoted)
    )
    connection.execute(f"DROP TABLE {_quoted(aside)}")


def _columns(connection: sqlite3.Connection, table: str) -> tuple[str, ...]:
    return tuple(row[0] for row in connection.execute("SELECT name FROM pragma_table_info(?)", (table,)))


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextlib.contextmanager
def _opened(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000
    )
    try:
        yield connection
    finally:
        connection.close()
