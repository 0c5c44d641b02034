"""What the time of this machine rests on, as far as it can be told at once, asking nobody beyond it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from node.time import kernel, report
from node.time.choose import Reading, Verdict, choose, clock_error_ms
from node.trust.credentials import FOLDER
from node.trust.known_time import KnownTime
from protocol.messages.health import MAX_ERROR_MS, ClockState

# The edge server's time counts on from when it was last asked, perhaps days ago.
EDGE_ERROR_MS = 5_000


def standing(
    home: Path,
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ntp_error_ms: Callable[[], int | None] | None = None,
) -> Verdict:
    """From the kernel, the last `kinflow time` of this boot, and what the edge server said at its last answer."""
    readings = []
    error_ms = (ntp_error_ms or kernel.ntp_error_ms)()
    if error_ms is not None:
        readings.append(Reading("ntp", 0, error_ms))
    last = report.load(home)
    if last is not None and last.source == "gps" and last.error_ms is not None:
        since = Verdict("gps", 0, last.error_ms)
        readings.append(Reading("gps", last.offset_ms, clock_error_ms(since, report.age_ms(last)) or last.error_ms))
    offset_ms = KnownTime(home / FOLDER, wall_ms).offset_ms()
    if offset_ms is not None:
        readings.append(Reading("edge", offset_ms, EDGE_ERROR_MS))
    return choose(readings, wall_ms())


def clock_state(home: Path) -> ClockState:
    """For a message of health."""
    verdict = standing(home)
    error_ms = clock_error_ms(verdict)
    return ClockState(source=verdict.source, error_ms=None if error_ms is None else min(error_ms, MAX_ERROR_MS))


def words(verdict: Verdict) -> str:
    """One sentence or two for a person."""
    if verdict.error_ms is None:
        text = "Nobody keeps this clock right: neither NTP nor GPS nor an edge server."
    else:
        name = {"ntp": "NTP", "gps": "GPS", "edge": "the edge server"}[verdict.source]
        text = f"By {name}, to within {verdict.error_ms / 1000:g} s"
        off = "" if verdict.source == "ntp" else f"; this clock differs by {-verdict.offset_ms / 1000:+.1f} s"
        text = f"{text}{off}."
    return " ".join([text, *(f"{one[0].upper()}{one[1:]}." for one in verdict.differing), *verdict.refused])
