"""Forgetting in SQLite: what edge_server/store/retention.py plans, and thinning old readings."""

from __future__ import annotations

import sqlite3

import msgspec

from edge_server.store.calendar import BELIEVED, Calendar, Doubt
from edge_server.store.retention import HOUR_MS, ORDER, SLICE_ROWS, Delete, Held, Limits, Table, plan

THINNED_STEP_MS = 10_000
MINUTE_MS = 60_000
_THINNED = "thinned_up_to"
_DOUBT = "clock_doubt"
_TIME: dict[Table, str] = {
    "observations": "received_ms",
    "events": "at_ms",
    "gaps": "found_ms",
    "signal_log": "at_ms",
    "alarms": "received_ms",
}


def sweep(connection: sqlite3.Connection, limits: Limits, now_ms: int) -> int:
    """One slice, inside the caller's transaction; returns how many rows went, 0 when all is in order."""
    gone = _thin(connection, now_ms - int(limits.thin_after_hours * HOUR_MS))
    for due in plan(size_mb(connection), _held(connection), limits, now_ms):
        gone += _delete(connection, due)
    return gone


def read_calendar(connection: sqlite3.Connection, wall_ms: int, mono_ms: int) -> Calendar:
    """As it stood when the newest row came; an empty store believes the clock."""
    newest = [
        row[0]
        for table in ORDER
        if (row := connection.execute(f"SELECT {_TIME[table]} FROM {table} ORDER BY id DESC LIMIT 1").fetchone())  # noqa: S608
    ]
    found = connection.execute("SELECT value FROM settings WHERE key = ?", (_DOUBT,)).fetchone()
    doubt = msgspec.json.decode(found[0], type=Doubt) if found else BELIEVED
    return Calendar(max(newest, default=wall_ms), mono_ms, doubt)


def keep_doubt(connection: sqlite3.Connection, doubt: Doubt) -> None:
    connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (_DOUBT, msgspec.json.encode(doubt).decode()))


def set_right(connection: sqlite3.Connection, now_ms: int, ahead_ms: int) -> None:
    """What came in under a clock that was `ahead_ms` ahead, and has been put right, is of the future: it gets the times
    that it would have got. Otherwise it would be the last word, and too young to be forgotten, until then."""
    for table, column in (*_TIME.items(), ("observations", "captured_ms")):
        connection.execute(
            f"UPDATE {table} SET {column} = {column} - ? WHERE {column} > ?",  # noqa: S608 (constants)
            (ahead_ms, now_ms + MINUTE_MS),
        )


def size_mb(connection: sqlite3.Connection) -> float:
    """What the rows take, without pages that are free to be used again."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return float((pages - free) * size / 1e6)


def _held(connection: sqlite3.Connection) -> dict[Table, Held]:
    """Ids rise with receipt: the oldest row is the one with the lowest id, and their span bounds the count."""
    found: dict[Table, Held] = {}
    for table in ORDER:
        row = connection.execute(f"SELECT id, {_TIME[table]} FROM {table} ORDER BY id LIMIT 1").fetchone()  # noqa: S608
        if row is not None:
            (highest,) = connection.execute(f"SELECT max(id) FROM {table}").fetchone()  # noqa: S608
            found[table] = Held(highest - row[0] + 1, row[1])
    return found


def _delete(connection: sqlite3.Connection, due: Delete) -> int:
    condition, parameters = ("1", ()) if due.before_ms is None else (f"{_TIME[due.table]} < ?", (due.before_ms,))
    oldest = f"SELECT id FROM {due.table} ORDER BY id LIMIT {due.rows}"  # noqa: S608 (constants)
    return connection.execute(
        f"DELETE FROM {due.table} WHERE id IN ({oldest}) AND {condition}",  # noqa: S608 (constants)
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
