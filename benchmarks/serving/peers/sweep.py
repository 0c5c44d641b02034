"""Looking for the load at which a server gives the most goodput."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.serving.peers.row import Row

# Upwards it ends once goodput has fallen so far below the most.
FALLEN = 0.6


def swept(loads_per_s: Sequence[float], measure: Callable[[float], Row]) -> list[Row]:
    """Rows in the order they were measured: from the middle load upwards until goodput has fallen, then downwards as
    long as a load could still give more. No server gives more goodput than it is sent, so a load below the most that
    was found need not be run, and small loads take the longest.

    loads_per_s: rising, at least one. measure: one run at so many requests a second."""
    middle = len(loads_per_s) // 2
    rows, most = list[Row](), 0.0
    for load in loads_per_s[middle:]:
        rows.append(measure(load))
        goodput = rows[-1].goodput_per_s or 0.0
        most = max(most, goodput)
        if goodput < FALLEN * most:
            break
    for load in reversed(loads_per_s[:middle]):
        if load <= most:
            break
        rows.append(measure(load))
        most = max(most, rows[-1].goodput_per_s or 0.0)
    return rows
