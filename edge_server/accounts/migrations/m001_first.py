"""The first schema. Times are Unix milliseconds; `digest` is the SHA-256 of a secret that is kept nowhere."""

from __future__ import annotations

import sqlite3


def apply(connection: sqlite3.Connection) -> None:
    for statement in _TABLES:
        connection.execute(statement)


_TABLES = (
    """CREATE TABLE users (
        name TEXT PRIMARY KEY, role TEXT NOT NULL, hash TEXT NOT NULL, made_ms INTEGER NOT NULL,
        password_ms INTEGER NOT NULL, signed_in_ms INTEGER
    ) STRICT""",
    """CREATE TABLE sessions (
        digest TEXT PRIMARY KEY, way TEXT NOT NULL, user TEXT, proof TEXT NOT NULL, address TEXT NOT NULL,
        made_ms INTEGER NOT NULL, used_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX sessions_by_user ON sessions (user)",
    """CREATE TABLE tokens (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, role TEXT NOT NULL,
        digest TEXT NOT NULL UNIQUE, made_by TEXT NOT NULL, made_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,
        used_ms INTEGER
    ) STRICT""",
    """CREATE TABLE known_places (
        user TEXT NOT NULL, address TEXT NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (user, address)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,
        subject TEXT NOT NULL, address TEXT NOT NULL, detail TEXT NOT NULL
    ) STRICT""",
)
