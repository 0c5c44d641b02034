"""authority.db: join codes, requests, devices, certificates and revocations, and who did what. Codes as hashes only.

Several processes may use it at once: the edge server, and `kinflow edge …` beside it. Whoever changes who may come in
raises `revision`, by which the edge server notices.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from msgspec import Struct, structs

from node.sqlite import connect, transaction
from protocol.ids import DeviceId
from protocol.messages.presence import Role

FILE = "authority.db"
NEWEST = 1
RequestState = Literal["pending", "issued", "refused"]
DeviceState = Literal["joined", "revoked"]
Severity = Literal["info", "warning", "critical"]

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE codes (
    id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, made_ms INTEGER NOT NULL, made_by TEXT NOT NULL,
    expires_ms INTEGER NOT NULL, device TEXT NOT NULL, role TEXT NOT NULL, approved INTEGER NOT NULL,
    replaces INTEGER NOT NULL, used_by TEXT NOT NULL, cancelled INTEGER NOT NULL);
CREATE TABLE requests (
    id TEXT PRIMARY KEY, code TEXT NOT NULL, device TEXT NOT NULL, role TEXT NOT NULL, csr TEXT NOT NULL,
    csr_digest TEXT NOT NULL UNIQUE, key_digest TEXT NOT NULL, address TEXT NOT NULL, replaces INTEGER NOT NULL,
    state TEXT NOT NULL, made_ms INTEGER NOT NULL, decided_ms INTEGER NOT NULL, certificate TEXT NOT NULL);
CREATE TABLE devices (
    device TEXT PRIMARY KEY, role TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, key_digest TEXT NOT NULL,
    joined_ms INTEGER NOT NULL, renewed_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,
    move_to TEXT NOT NULL, move_code TEXT NOT NULL);
CREATE TABLE certificates (
    serial TEXT PRIMARY KEY, device TEXT NOT NULL, issued_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,
    revoked_ms INTEGER NOT NULL, put_out INTEGER NOT NULL);
CREATE INDEX certificates_device ON certificates (device);
CREATE INDEX certificates_revoked ON certificates (revoked_ms);
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, actor TEXT NOT NULL, kind TEXT NOT NULL,
    severity TEXT NOT NULL, device TEXT NOT NULL, address TEXT NOT NULL, text TEXT NOT NULL, alarm TEXT NOT NULL,
    told INTEGER NOT NULL);
CREATE INDEX audit_untold ON audit (told, id);
PRAGMA user_version = 1;
"""

T = TypeVar("T", bound=Struct)


class CodeRow(Struct, frozen=True, kw_only=True):
    """id: what people call it by. device: the only id that it is good for, "" for any. role: "device" for all but edge
    servers. approved: nobody has to agree again. replaces: it takes the place of a device that has joined. used_by: the
    request that it was used for."""

    id: str
    digest: bytes
    made_ms: int
    made_by: str
    expires_ms: int
    device: str = ""
    role: str = "device"
    approved: bool = False
    replaces: bool = False
    used_by: str = ""
    cancelled: bool = False


class RequestRow(Struct, frozen=True, kw_only=True):
    id: str
    code: str
    device: DeviceId
    role: Role
    csr: str
    csr_digest: str
    key_digest: str
    address: str
    replaces: bool
    state: RequestState
    made_ms: int
    decided_ms: int = 0
    certificate: str = ""


class DeviceRow(Struct, frozen=True, kw_only=True):
    """move_to, move_code: where it is to go, and the code of the edge server there; "" for nowhere."""

    device: DeviceId
    role: Role
    name: str
    state: DeviceState
    key_digest: str
    joined_ms: int
    renewed_ms: int
    expires_ms: int
    move_to: str = ""
    move_code: str = ""


class CertificateRow(Struct, frozen=True, kw_only=True):
    """revoked_ms: 0 while it is good. put_out: the broker has been told."""

    serial: str
    device: DeviceId
    issued_ms: int
    expires_ms: int
    revoked_ms: int = 0
    put_out: bool = False


class AuditRow(Struct, frozen=True, kw_only=True):
    """alarm: the kind of alarm to raise, "" for none. told: whether the event log has it."""

    at_ms: int
    actor: str
    kind: str
    text: str
    severity: Severity = "info"
    device: str = ""
    address: str = ""
    alarm: str = ""
    told: bool = False
    id: int = 0


class Records:
    """Thread-safe. Raises StoreNewer (KF51) or StoreDamaged (KF52) on opening."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._lock = threading.RLock()
        self._depth = 0
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._connection = connect(self.path, newest=NEWEST)
        self.path.chmod(0o600)
        self._connection.row_factory = sqlite3.Row
        with self.transaction():
            if self._connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in _SCHEMA.split(";\n"):
                    self._connection.execute(statement)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that happens inside is kept together or not at all, and nobody else writes meanwhile."""
        with self._lock:
            if self._depth:
                yield
                return
            self._depth += 1
            try:
                with transaction(self._connection):
                    yield
            finally:
                self._depth -= 1

    def put(self, table: str, row: Struct) -> None:
        """Write a row, in place of one with the same key."""
        values = structs.asdict(row)
        if table == "audit":
            values.pop("id")
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        with self.transaction():
            sql = f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 (our own names)
            self._connection.execute(sql, tuple(values.values()))

    def one(self, kind: type[T], table: str, **where: Any) -> T | None:
        return next(iter(self.all(kind, table, limit=1, **where)), None)

    def all(self, kind: type[T], table: str, order: str = "", limit: int = -1, **where: Any) -> list[T]:
        """Rows that have these values, in this order."""
        clause = " AND ".join(f"{name} = ?" for name in where) or "1"
        sql = f"SELECT * FROM {table} WHERE {clause} ORDER BY {order or '1'} LIMIT ?"  # noqa: S608
        with self._lock:
            found = self._connection.execute(sql, (*where.values(), limit)).fetchall()
        return [_row(kind, one) for one in found]

    def run(self, sql: str, *values: object) -> list[sqlite3.Row]:
        with self.transaction():
            return self._connection.execute(sql, values).fetchall()

    def meta(self, key: str) -> bytes | None:
        with self._lock:
            found = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if found is None else bytes(found[0])

    def set_meta(self, key: str, value: bytes) -> None:
        with self.transaction():
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    @property
    def revision(self) -> int:
        """Raised whenever somebody may come in who couldn't, or the other way round."""
        return int(self.meta("revision") or b"0")

    def raise_revision(self) -> int:
        with self.transaction():
            revision = self.revision + 1
            self.set_meta("revision", str(revision).encode())
            return revision


def _row(kind: type[T], found: sqlite3.Row) -> T:
    booleans = {one.name for one in structs.fields(kind) if one.type in (bool, "bool")}
    return kind(**{name: bool(found[name]) if name in booleans else found[name] for name in _names(kind)})


def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(kind.__struct_fields__)
