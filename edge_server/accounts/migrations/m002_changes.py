"""How often each account and token was changed, and when, those that are gone among them.

So the two edge servers of a pair can tell whose is newer. Written by triggers, whoever changes the tables.
"""

from __future__ import annotations

import sqlite3

_NOW_MS = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


def apply(connection: sqlite3.Connection) -> None:
    connection.execute(
        """CREATE TABLE changes (
            kind TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, at_ms INTEGER NOT NULL,
            gone INTEGER NOT NULL, PRIMARY KEY (kind, name)
        ) STRICT, WITHOUT ROWID"""
    )
    connection.execute("INSERT INTO changes SELECT 'user', name, 1, max(made_ms, password_ms), 0 FROM users")
    connection.execute("INSERT INTO changes SELECT 'token', name, 1, made_ms, 0 FROM tokens")
    for table in ("users", "tokens"):
        connection.execute(_trigger(table, "added", "INSERT"))
        connection.execute(_trigger(table, "gone", "DELETE"))
    connection.execute(_trigger("users", "changed", "UPDATE OF role, hash"))


def _trigger(table: str, what: str, on: str) -> str:
    row, gone = ("OLD", 1) if on == "DELETE" else ("NEW", 0)
    return f"""CREATE TRIGGER {table}_{what} AFTER {on} ON {table} BEGIN
        INSERT INTO changes VALUES ('{table[:-1]}', {row}.name, 1, {_NOW_MS}, {gone})
        ON CONFLICT (kind, name) DO UPDATE SET version = version + 1, at_ms = excluded.at_ms, gone = excluded.gone;
    END"""  # noqa: S608 (constants)
