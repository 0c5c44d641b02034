"""Whether the edge server does its work: hears, commits, and has room to keep what it hears."""

from __future__ import annotations

from dataclasses import dataclass

from edge_server.ingest.figures import IngestFigures

STUCK_MS = 10_000


@dataclass(frozen=True)
class IngestWatch:
    """Messages that wait while no commit is made mean that the ingest loop is stuck. `since_ms`: since when that is so,
    on the monotonic clock; None while all is well."""

    commits: int = 0
    since_ms: int | None = None

    def look(self, figures: IngestFigures, now_ms: int) -> IngestWatch:
        if figures.waiting == 0 or figures.commits != self.commits:
            return IngestWatch(figures.commits)
        return IngestWatch(figures.commits, now_ms if self.since_ms is None else self.since_ms)

    def problems(self, figures: IngestFigures, now_ms: int) -> tuple[str, ...]:
        """What is wrong, in words; empty when the server is well."""
        found = []
        if figures.disk_full:
            found.append("The disk is full: devices keep their messages until there is room.")
        if figures.disk == "full":
            found.append("The disk is full: the reserve for alarms is in use.")
        elif figures.disk == "very-low":
            found.append(f"The disk is nearly full: {figures.given_up} readings were not stored.")
        if self.since_ms is not None and now_ms - self.since_ms >= STUCK_MS:
            silent_s = (now_ms - self.since_ms) // 1000
            found.append(f"{figures.waiting} messages wait, and nothing was committed for {silent_s} s.")
        return tuple(found)
