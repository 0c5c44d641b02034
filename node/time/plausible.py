"""Which dates can be true at all."""

from __future__ import annotations

from datetime import UTC, datetime

from node.errors import TimeImplausible

# Before this code was written, or a lifetime after: a board without a battery, a typing error, or a GPS receiver whose
# count of 1024 weeks (19.6 years) has begun anew.
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
LATEST = datetime(2066, 1, 1, tzinfo=UTC)

EARLIEST_MS = int(EARLIEST.timestamp() * 1000)
LATEST_MS = int(LATEST.timestamp() * 1000)
ROLLOVER_MS = 1024 * 7 * 86_400_000


def is_plausible(at_ms: int) -> bool:
    return EARLIEST_MS <= at_ms < LATEST_MS


def check(at_ms: int, source: str) -> int:
    """The time as it is given. Raises TimeImplausible (KF173)."""
    if is_plausible(at_ms):
        return at_ms
    detail = "outside the years that can be"
    if is_plausible(at_ms + ROLLOVER_MS):
        detail = "as of a receiver whose 1024 weeks have begun anew"
    raise TimeImplausible(source=source, date=_words(at_ms), detail=detail)


def _words(at_ms: int) -> str:
    try:
        return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms"
