"""The diary: notes, corrections and past conversation of one machine, in SQLite, encrypted where a passphrase was set.

One row for each entry: whose it is, of what kind, and its body as JSON. Kinds and owners stay readable; bodies don't.
What is deleted is overwritten (secure_delete), and a passphrase that is set rewrites the file.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from models.assistant.sealing import COST, COST_MOST, SALT_BYTES, Seal
from models.errors import DiaryDamaged, DiaryLocked
from node.sqlite import connect, transaction

FILE_NAME = "diary.db"
FOLDER = "assistant"
Kind = Literal["note", "correction", "turn"]
_VERSION = 1
_TABLES = (
    """CREATE TABLE entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, owner TEXT NOT NULL, made_ms INTEGER NOT NULL,
        place TEXT NOT NULL, body BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX entries_by_owner ON entries (owner, kind, id)",
    "CREATE TABLE seal (salt BLOB NOT NULL, cost INTEGER NOT NULL, test BLOB NOT NULL) STRICT",
)


class Entry(Struct, frozen=True, kw_only=True):
    id: int
    kind: Kind
    owner: str
    made_ms: int
    body: dict[str, Any]


class Diary:
    """Safe from any thread. Opened on first use: who never keeps anything has no file.

    passphrase: asked for once, when the file turns out to be encrypted; None where there is nobody to ask. cost: of a
    passphrase that is set anew.
    """

    def __init__(self, home: Path, passphrase: Callable[[], str | None] = lambda: None, cost: int = COST) -> None:
        self.path = home / FOLDER / FILE_NAME
        self._passphrase, self._cost = passphrase, cost
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._seal: Seal | None = None

    def add(self, kind: Kind, owner: str, made_ms: int, body: dict[str, Any]) -> Entry:
        """Raises DiaryLocked (KF491)."""
        with self._open() as store, transaction(store):
            place = os.urandom(12).hex()
            sealed = self._sealed(msgspec.json.encode(body), place)
            row = (kind, owner, made_ms, place, sealed)
            done = store.execute("INSERT INTO entries (kind, owner, made_ms, place, body) VALUES (?, ?, ?, ?, ?)", row)
            return Entry(id=int(done.lastrowid or 0), kind=kind, owner=owner, made_ms=made_ms, body=body)

    def entries(self, kind: Kind, owner: str) -> list[Entry]:
        """Oldest first. Raises DiaryLocked (KF491) or DiaryDamaged (KF492)."""
        if self._connection is None and not self.path.exists():
            return []
        with self._open() as store:
            rows = store.execute(
                "SELECT id, made_ms, place, body FROM entries WHERE kind = ? AND owner = ? ORDER BY id", (kind, owner)
            ).fetchall()
        return [
            Entry(id=number, kind=kind, owner=owner, made_ms=made_ms, body=self._opened(body, place))
            for number, made_ms, place, body in rows
        ]

    def delete(self, kind: Kind, owner: str, numbers: list[int]) -> int:
        """How many were there. They are deleted without being read: a lost passphrase is no reason to keep them."""
        if self._connection is None and not self.path.exists():
            return 0
        with self._open(unread=True) as store, transaction(store):
            each = [
                store.execute("DELETE FROM entries WHERE id = ? AND kind = ? AND owner = ?", (one, kind, owner))
                for one in numbers
            ]
        return sum(one.rowcount for one in each)

    def clear(self, kind: Kind, owner: str) -> int:
        if self._connection is None and not self.path.exists():
            return 0
        with self._open(unread=True) as store, transaction(store):
            return store.execute("DELETE FROM entries WHERE kind = ? AND owner = ?", (kind, owner)).rowcount

    @property
    def locked(self) -> bool:
        """Whether a passphrase was set."""
        if self._connection is None and not self.path.exists():
            return False
        with self._open(unread=True) as store:
            return store.execute("SELECT 1 FROM seal").fetchone() is not None

    def lock(self, passphrase: str | None) -> None:
        """Encrypt all of it under a passphrase, or under none. Raises DiaryLocked (KF491) while the present one is not
        known, DiaryDamaged (KF492) where an entry can't be read: nothing is changed then."""
        with self._open() as store:
            with transaction(store):
                plain = {
                    number: (place, msgspec.json.encode(self._opened(body, place)))
                    for number, place, body in store.execute("SELECT id, place, body FROM entries").fetchall()
                }
                salt = os.urandom(SALT_BYTES)
                seal = None if passphrase is None else Seal(passphrase, salt, self._cost)
                store.execute("DELETE FROM seal")
                if seal is not None:
                    store.execute("INSERT INTO seal VALUES (?, ?, ?)", (salt, self._cost, seal.test()))
                for number, (place, text) in plain.items():
                    body = text if seal is None else seal.close(text, place)
                    store.execute("UPDATE entries SET body = ? WHERE id = ?", (body, number))
            self._seal = seal
            # Old pages and the write-ahead log still hold the plain text.
            store.execute("VACUUM")
            store.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def _open(self, unread: bool = False) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._connection is None:
                self._connection = self._connect()
            if not unread:
                self._unlock(self._connection)
            yield self._connection

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.path.exists():
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600))
        connection = connect(self.path, newest=_VERSION)
        connection.execute("PRAGMA secure_delete = ON")
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            with transaction(connection):
                for statement in _TABLES:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
        return connection

    def _unlock(self, store: sqlite3.Connection) -> None:
        row = store.execute("SELECT salt, cost, test FROM seal").fetchone()
        if row is None:
            self._seal = None
            return
        salt, cost, test = row
        if self._seal is not None and self._seal.fits(test):
            return
        passphrase = self._passphrase()
        if passphrase is None:
            raise DiaryLocked(path=self.path, detail="no passphrase was given")
        if not (2 <= cost <= COST_MOST and cost & (cost - 1) == 0):
            raise DiaryDamaged(path=self.path)
        seal = Seal(passphrase, salt, cost)
        if not seal.fits(test):
            raise DiaryLocked(path=self.path, detail="the passphrase is another")
        self._seal = seal

    def _sealed(self, text: bytes, place: str) -> bytes:
        return text if self._seal is None else self._seal.close(text, place)

    def _opened(self, body: bytes, place: str) -> dict[str, Any]:
        text = body if self._seal is None else self._seal.open(body, place)
        try:
            if text is None:
                raise DiaryDamaged(path=self.path)
            return msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise DiaryDamaged(path=self.path) from error
