"""The first schema. docs/store.md explains each table and column to those who read the file by SQL."""

from __future__ import annotations

from sqlite_utils import Database


def apply(store: Database) -> None:
    for statement in _TABLES:
        store.execute(statement)


_TABLES = (
    """CREATE TABLE devices (
        device TEXT PRIMARY KEY, boot TEXT NOT NULL, role TEXT NOT NULL, state TEXT NOT NULL, software TEXT NOT NULL,
        name TEXT NOT NULL, hardware TEXT NOT NULL, intersection TEXT, cameras TEXT NOT NULL,
        simulated INTEGER NOT NULL, reason TEXT NOT NULL, born_ms INTEGER NOT NULL, heard_ms INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE observations (
        id INTEGER PRIMARY KEY, source TEXT NOT NULL, boot TEXT NOT NULL, seq INTEGER NOT NULL,
        camera TEXT NOT NULL, approach TEXT NOT NULL,
        captured_ms INTEGER NOT NULL, device_captured_ms INTEGER NOT NULL, received_ms INTEGER NOT NULL,
        age_ms INTEGER NOT NULL, live INTEGER NOT NULL,
        sensor TEXT NOT NULL, status TEXT NOT NULL, calibrated INTEGER NOT NULL,
        occupancy REAL, occupancy_low REAL NOT NULL, occupancy_high REAL NOT NULL,
        idx REAL, idx_low REAL NOT NULL, idx_high REAL NOT NULL, congestion TEXT,
        quality REAL NOT NULL, problems TEXT NOT NULL,
        queue_m REAL, speed_mps REAL, count REAL, emergency TEXT NOT NULL, lanes TEXT NOT NULL,
        UNIQUE (source, boot, seq)
    ) STRICT""",
    "CREATE INDEX observations_by_approach ON observations (approach, captured_ms)",
    """CREATE TABLE alarms (
        id INTEGER PRIMARY KEY, source TEXT NOT NULL, boot TEXT NOT NULL, seq INTEGER NOT NULL,
        alarm TEXT NOT NULL, subject TEXT NOT NULL, severity TEXT NOT NULL, active INTEGER NOT NULL,
        text TEXT NOT NULL, code TEXT, at_ms INTEGER NOT NULL, received_ms INTEGER NOT NULL, age_ms INTEGER NOT NULL,
        UNIQUE (source, boot, seq)
    ) STRICT""",
    "CREATE INDEX alarms_by_subject ON alarms (source, alarm, subject)",
    """CREATE TABLE health (
        source TEXT PRIMARY KEY, boot TEXT NOT NULL, seq INTEGER NOT NULL, made_ms INTEGER NOT NULL,
        received_ms INTEGER NOT NULL, message TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE gaps (
        id INTEGER PRIMARY KEY, source TEXT NOT NULL, boot TEXT NOT NULL, first INTEGER NOT NULL,
        last INTEGER NOT NULL, reason TEXT NOT NULL, found_ms INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX gaps_by_boot ON gaps (source, boot, first)",
    """CREATE TABLE events (
        id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, severity TEXT NOT NULL,
        device TEXT NOT NULL, subject TEXT NOT NULL, text TEXT NOT NULL, code TEXT
    ) STRICT""",
    """CREATE TABLE signal_log (
        id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, intersection TEXT NOT NULL, controller TEXT NOT NULL,
        phases TEXT NOT NULL, reason TEXT NOT NULL, command TEXT NOT NULL, outcome TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX signal_log_by_intersection ON signal_log (intersection, at_ms)",
    """CREATE TABLE corrections (
        id INTEGER PRIMARY KEY, made_ms INTEGER NOT NULL, mistake TEXT NOT NULL, alarm INTEGER, source TEXT NOT NULL,
        camera TEXT NOT NULL, approach TEXT NOT NULL, at_ms INTEGER NOT NULL, said TEXT, congestion TEXT,
        note TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE received (
        source TEXT NOT NULL, boot TEXT NOT NULL, closed INTEGER NOT NULL, floor INTEGER NOT NULL,
        highest INTEGER NOT NULL, received TEXT NOT NULL, explained TEXT NOT NULL, reported TEXT NOT NULL,
        heard_ms INTEGER NOT NULL, PRIMARY KEY (source, boot)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE rejects (
        id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, code TEXT NOT NULL, topic TEXT NOT NULL, detail TEXT NOT NULL,
        size_bytes INTEGER NOT NULL, sample BLOB NOT NULL
    ) STRICT""",
    "CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
)
