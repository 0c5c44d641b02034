"""Questions to the store, each thread over a read-only connection of its own: readers never wait for the writer."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from sqlite_utils import Database

from edge_server.fleet.device import Device
from edge_server.store.file import open_reader
from edge_server.store.rows import Correction, Gap, IndexPoint, KeptAlarm, LogEntry, SignalEntry, StoredAlarm
from protocol.ids import ApproachId, DeviceId, IntersectionId
from protocol.messages import Alarm, Health

T = TypeVar("T")
RECENT = 10_000


# Whether nothing later is stored of the same alarm. Not by id: what comes from the other edge server of a pair, or has
# waited in an outbox, comes after what was made later.
LATEST = """NOT EXISTS (SELECT 1 FROM alarms AS later WHERE later.source = alarms.source
    AND later.alarm = alarms.alarm AND later.subject = alarms.subject
    AND CASE WHEN later.boot = alarms.boot THEN later.seq > alarms.seq
        ELSE (later.received_ms - later.age_ms, later.id) > (alarms.received_ms - alarms.age_ms, alarms.id) END)"""


def is_latest(connection: sqlite3.Connection, alarm: Alarm) -> bool:
    """Whether a stored alarm is the last word on its subject."""
    key = (alarm.source, alarm.boot, alarm.seq)
    statement = f"SELECT 1 FROM alarms WHERE source = ? AND boot = ? AND seq = ? AND {LATEST}"  # noqa: S608 (a constant)
    return connection.execute(statement, key).fetchone() is not None


class StoreReader:
    """Safe from any thread. Lists come newest first unless said otherwise; times are Unix milliseconds of the edge."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()

    def devices(self) -> list[Device]:
        rows = [
            {**row, "cameras": msgspec.json.decode(row["cameras"]), "simulated": bool(row["simulated"])}
            for row in self._query("SELECT * FROM devices ORDER BY device")
        ]
        return _of(Device, rows)

    def health(self) -> dict[DeviceId, Health]:
        """The latest of each device."""
        rows = self._query("SELECT source, message FROM health")
        return {DeviceId(row["source"]): msgspec.json.decode(row["message"], type=Health) for row in rows}

    def alarms(self, limit: int = 200, before: int | None = None, active: bool | None = None) -> list[StoredAlarm]:
        """Newest first, from those with an id below `before`. active=True: only those raised and not cleared since."""
        where = {None: "1", True: f"active AND {LATEST}", False: "NOT active"}[active]
        rows = self._query(
            f"SELECT * FROM alarms WHERE id < ? AND {where} ORDER BY id DESC LIMIT ?",  # noqa: S608 (constants)
            (before or 1 << 62, limit),
        )
        return _of(StoredAlarm, ({**row, "active": bool(row["active"])} for row in rows))

    def alarm(self, number: int) -> StoredAlarm | None:
        rows = self._query("SELECT * FROM alarms WHERE id = ?", (number,))
        return _of(StoredAlarm, ({**row, "active": bool(row["active"])} for row in rows))[0] if rows else None

    def alarms_after(self, number: int, limit: int) -> tuple[list[KeptAlarm], int]:
        """In the order of their receipt, from the id after `number` on; and the highest id that there is."""
        rows = self._query("SELECT * FROM alarms WHERE id > ? ORDER BY id LIMIT ?", (number, limit))
        return _of(KeptAlarm, ({**row, "active": bool(row["active"])} for row in rows)), self._highest("alarms")

    def signals_after(self, number: int, limit: int) -> tuple[list[SignalEntry], int]:
        """The log of decisions, likewise."""
        rows = self._query("SELECT * FROM signal_log WHERE id > ? ORDER BY id LIMIT ?", (number, limit))
        found = _of(SignalEntry, ({**row, "phases": msgspec.json.decode(row["phases"])} for row in rows))
        return found, self._highest("signal_log")

    def lacks(self, alarms: Iterable[KeptAlarm]) -> list[KeptAlarm]:
        """Those that are not here."""
        statement = "SELECT 1 FROM alarms WHERE source = ? AND boot = ? AND seq = ?"
        return [one for one in alarms if not self._query(statement, (one.source, one.boot, one.seq))]

    def _highest(self, table: Literal["alarms", "signal_log"]) -> int:
        return int(self._query(f"SELECT coalesce(max(id), 0) AS id FROM {table}")[0]["id"])  # noqa: S608 (constants)

    def history(
        self, approach: ApproachId, since_ms: int, until_ms: int = 1 << 62, step_ms: int = 1, limit: int = 20_000
    ) -> list[IndexPoint]:
        """The index of an approach, oldest first, at most one point (the last) in each step_ms."""
        rows = self._query(
            """SELECT max(captured_ms) AS captured_ms, approach, camera, status, idx AS "index", idx_low AS index_low,
               idx_high AS index_high, occupancy, queue_m, congestion FROM observations
               WHERE approach = ? AND captured_ms BETWEEN ? AND ? GROUP BY captured_ms / ?, camera
               ORDER BY captured_ms LIMIT ?""",
            (approach, since_ms, until_ms, max(1, step_ms), limit),
        )
        return _of(IndexPoint, rows)

    def latest(self) -> list[IndexPoint]:
        """The newest observation of each approach and camera, for a page that opens before the next one arrives.

        Found among the last RECENT rows, so that a large store answers as fast as a small one.
        """
        rows = self._query(
            """SELECT captured_ms, approach, camera, status, idx AS "index", idx_low AS index_low,
               idx_high AS index_high, occupancy, queue_m, congestion FROM observations WHERE id IN
               (SELECT max(id) FROM (SELECT id, approach, camera FROM observations ORDER BY id DESC LIMIT ?)
               GROUP BY approach, camera) ORDER BY approach, camera""",
            (RECENT,),
        )
        return _of(IndexPoint, rows)

    def events(self, limit: int = 200, before: int | None = None) -> list[LogEntry]:
        rows = self._query("SELECT * FROM events WHERE id < ? ORDER BY id DESC LIMIT ?", (before or 1 << 62, limit))
        return _of(LogEntry, rows)

    def signal_log(self, intersection: IntersectionId, limit: int = 200) -> list[SignalEntry]:
        rows = self._query(
            "SELECT * FROM signal_log WHERE intersection = ? ORDER BY at_ms DESC, id DESC LIMIT ?",
            (intersection, limit),
        )
        return _of(SignalEntry, ({**row, "phases": msgspec.json.decode(row["phases"])} for row in rows))

    def signal_log_between(self, intersection: IntersectionId, from_ms: int, to_ms: int) -> list[SignalEntry]:
        """Oldest first."""
        rows = self._query(
            "SELECT * FROM signal_log WHERE intersection = ? AND at_ms BETWEEN ? AND ? ORDER BY at_ms, id LIMIT 10000",
            (intersection, from_ms, to_ms),
        )
        return _of(SignalEntry, ({**row, "phases": msgspec.json.decode(row["phases"])} for row in rows))

    def corrections(self, limit: int = 1_000) -> list[Correction]:
        return _of(Correction, self._query("SELECT * FROM corrections ORDER BY id DESC LIMIT ?", (limit,)))

    def gaps(self, limit: int = 1_000) -> list[Gap]:
        return _of(Gap, self._query("SELECT * FROM gaps ORDER BY id DESC LIMIT ?", (limit,)))

    def setting(self, key: str) -> str | None:
        rows = self._query("SELECT value FROM settings WHERE key = ?", (key,))
        return str(rows[0]["value"]) if rows else None

    def reopen(self) -> None:
        """The file was replaced: every thread opens the new one at its next question."""
        self._local = threading.local()

    def _query(self, statement: str, parameters: tuple[object, ...] = ()) -> list[dict[str, Any]]:
        store = getattr(self._local, "store", None)
        if store is None:
            store = self._local.store = Database(open_reader(self._path))
        return list(store.query(statement, parameters))


def _of(kind: type[T], rows: Iterable[dict[str, Any]]) -> list[T]:
    return msgspec.convert(list(rows), list[kind])  # type: ignore[valid-type]
