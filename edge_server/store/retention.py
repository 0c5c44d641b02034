"""What to forget: by age and by size, a slice at a time. Pure; edge_server/store/sweep.py carries it out.

Law: whatever goes early for want of room goes in ORDER, the oldest first: no event while there is a reading, no command
while there is an event or a gap, and no alarm while there is anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

from edge_server.store.room import Stage

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# So many deletions take 0.1 to 0.2 s; ingest waits for one slice a second at most. More than come in a second.
SLICE_ROWS = 4_000
LEAST_ROWS = 200

Table = Literal["observations", "events", "gaps", "signal_log", "alarms"]
ORDER: tuple[Table, ...] = ("observations", "events", "gaps", "signal_log", "alarms")


@dataclass(frozen=True)
class Limits:
    """How long each is kept. size_mb bounds all of it together."""

    observations_days: float = 14.0
    thin_after_hours: float = 24.0
    events_days: float = 90.0
    signal_log_days: float = 365.0
    gaps_days: float = 90.0
    alarms_days: float = 730.0
    size_mb: float = 4_096.0

    def days(self, table: Table) -> float:
        return {
            "observations": self.observations_days,
            "events": self.events_days,
            "gaps": self.gaps_days,
            "signal_log": self.signal_log_days,
            "alarms": self.alarms_days,
        }[table]

    def tightened(self, stage: Stage) -> Limits:
        """While the disk is short of room readings go earlier; alarms, commands and gaps are kept as long as ever."""
        share = {"ok": 1.0, "low": 0.5, "very-low": 0.25, "full": 0.25}[stage]
        return replace(
            self,
            observations_days=self.observations_days * share,
            thin_after_hours=self.thin_after_hours * share,
            size_mb=self.size_mb * share,
        )


@dataclass(frozen=True)
class Held:
    """What a table holds. rows: at most so many. oldest_ms: when the oldest came."""

    rows: int
    oldest_ms: int


@dataclass(frozen=True)
class Delete:
    """The `rows` oldest rows; with before_ms only those of them that came earlier."""

    table: Table
    rows: int
    before_ms: int | None = None


def plan(size_mb: float, held: Mapping[Table, Held], limits: Limits, now_ms: int) -> list[Delete]:
    """One slice of what is due; nothing when all is in order. held: without tables that are empty."""
    first = next((table for table in ORDER if table in held), None)
    crowded = first if size_mb > limits.size_mb else None
    due = []
    for table in ORDER:
        before_ms = now_ms - int(limits.days(table) * DAY_MS)
        # What is crowded loses its oldest rows anyway.
        if table != crowded and table in held and held[table].oldest_ms < before_ms:
            due.append(Delete(table, SLICE_ROWS, before_ms))
    if crowded is not None:
        # A row is taken for an average one, so that a small excess takes few. Where they are lighter it takes longer.
        excess = (size_mb - limits.size_mb) / size_mb * sum(one.rows for one in held.values())
        due.append(Delete(crowded, max(LEAST_ROWS, min(SLICE_ROWS, ceil(excess)))))
    return due
