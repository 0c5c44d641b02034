"""What the lamps of an intersection showed, read back from the high-resolution log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge_server.signals import hires
from protocol.ids import PhaseId
from protocol.messages.heartbeat import Aspect

# Longer than any lamp stays as it is: so much before an event its lamps are looked for.
BEFORE_MS = 180_000

_ASPECTS: dict[int, Aspect] = {
    hires.BEGIN_GREEN: "green",
    hires.BEGIN_YELLOW: "yellow",
    hires.BEGIN_RED_CLEARANCE: "red",
    hires.BEGIN_WALK: "walk",
    hires.BEGIN_PEDESTRIAN_CLEARANCE: "pedestrian-clearance",
    hires.BEGIN_SOLID_DONT_WALK: "red",
}


@dataclass(frozen=True)
class LampRow:
    """A phase began to show this."""

    at_ms: int
    phase: PhaseId
    aspect: Aspect


def read_lamps(folder: Path, signal: int, from_ms: int, to_ms: int) -> Iterator[LampRow]:
    """signal: the number of the intersection (Numbers). What was never written, or is not kept any more, is not there;
    a line that can't be read is passed over. Roughly in order: a heartbeat tells of several lamps."""
    since_ms = from_ms - BEFORE_MS
    day = datetime.fromtimestamp(since_ms / 1000, UTC).date()
    last = datetime.fromtimestamp(to_ms / 1000, UTC).date()
    prefix = f"{signal},"
    while day <= last:
        path = folder / f"{day.isoformat()}.csv"
        day += timedelta(days=1)
        if not path.is_file():
            continue
        with path.open(encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith(prefix):
                    row = _row(line)
                    if row is not None and since_ms <= row.at_ms <= to_ms:
                        yield row


def _row(line: str) -> LampRow | None:
    fields = line.rstrip("\n").split(",")
    try:
        _, stamp, code, param = fields
        aspect = _ASPECTS.get(int(code))
        at = datetime.fromisoformat(stamp).replace(tzinfo=UTC)
        return None if aspect is None else LampRow(round(at.timestamp() * 1000), PhaseId(int(param)), aspect)
    except ValueError:
        return None
