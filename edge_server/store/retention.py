"""Forgetting: by age and by size, a small slice at a time, so that no commit waits long. Alarms go last."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace

from edge_server.store.room import Stage

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SLICE_ROWS = 5_000
THINNED_STEP_MS = 10_000
_THINNED = "thinned_up_to"


@dataclass(frozen=True)
class Limits:
    """How long each is kept. size_mb bounds all but alarms: when it is exceeded the oldest readings go early."""

    observations_days: float = 14.0
    thin_after_hours: float = 24.0
    events_days: float = 90.0
    signal_log_days: float = 30.0
    gaps_days: float = 90.0
    alarms_days: float = 730.0
    size_mb: float = 4_096.0

    def tightened(self, stage: Stage) -> Limits:
        """While the disk is short of room readings go earlier; alarms, commands and gaps are kept as long as ever."""
        share = {"ok": 1.0, "low": 0.5, "very-low": 0.25, "full": 0.25}[stage]
        return replace(
            self,
            observations_days=self.observations_days * share,
            thin_after_hours=self.thin_after_hours * share,
            size_mb=self.size_mb * share,
        )


def sweep(connection: sqlite3.Connection, limits: Limits, now_ms: int) -> int:
    """One slice of each kind, inside the caller's transaction; returns how many rows went, 0 when all is in order."""
    gone = _thin(connection, now_ms - int(limits.thin_after_hours * HOUR_MS))
    for table, column, days in (
        ("observations", "received_ms", limits.observations_days),
        ("events", "at_ms", limits.events_days),
        ("signal_log", "at_ms", limits.signal_log_days),
        ("gaps", "found_ms", limits.gaps_days),
        ("alarms", "received_ms", limits.alarms_days),
    ):
        gone += _delete_oldest(connection, table, f"{column} < ?", (now_ms - int(days * DAY_MS),))
    if size_mb(connection) > limits.size_mb:
        gone += _delete_oldest(connection, "observations") or _delete_oldest(connection, "signal_log")
    return gone


def size_mb(connection: sqlite3.Connection) -> float:
    """What the rows take, without pages that are free to be used again."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return float((pages - free) * size / 1e6)


def _delete_oldest(
    connection: sqlite3.Connection, table: str, condition: str = "1", parameters: tuple[int, ...] = ()
) -> int:
    """Ids rise with receipt, so the oldest rows are those with the lowest ids."""
    return connection.execute(
        f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY id LIMIT {SLICE_ROWS}) AND {condition}",  # noqa: S608
        parameters,
    ).rowcount


def _thin(connection: sqlite3.Connection, before_ms: int) -> int:
    """Keep of each camera's old observations the last in every THINNED_STEP_MS. Goes on where it last stopped."""
    found = connection.execute("SELECT value FROM settings WHERE key = ?", (_THINNED,)).fetchone()
    done = int(found[0]) if found else 0
    last = connection.execute(
        "SELECT max(id) FROM (SELECT id, received_ms FROM observations WHERE id > ? ORDER BY id LIMIT ?)"
        " WHERE received_ms < ?",
        (done, SLICE_ROWS, before_ms),
    ).fetchone()[0]
    if last is None:
        return 0
    gone = connection.execute(
        """DELETE FROM observations WHERE id > ? AND id <= ? AND id NOT IN
           (SELECT max(id) FROM observations WHERE id > ? AND id <= ? GROUP BY source, camera, captured_ms / ?)""",
        (done, last, done, last, THINNED_STEP_MS),
    ).rowcount
    connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (_THINNED, str(last)))
    return gone
