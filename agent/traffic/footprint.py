"""Rows of a lane that belong together: what lies between two edges of one vehicle, and what stands in one queue."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from agent.traffic.birds_eye import ROW_M

# A queue begins within this of the stop line, and has no hole longer than this.
_QUEUE_HOLE_M = 13.0
# So much of a cell's road under standing vehicles is one; a motorcycle covers a fifth of its lane.
_STANDS = 0.15
_SHORTEST_M = 1.5


def fill(edged: NDArray[np.bool_], hole_rows: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Rows covered by vehicles, from the rows that show edges: holes up to hole_rows (by row) are their flat parts."""
    covered = edged.copy()
    rows = np.flatnonzero(edged)
    for last, following in itertools.pairwise(rows):
        if 1 < following - last <= hole_rows[last]:
            covered[last:following] = True
    return covered


def queue_length(standing: NDArray[np.floating], near_m: NDArray[np.floating]) -> float:
    """Metres from the stop line to the end of the vehicles that stand behind one another. standing: share of each row's
    road under vehicles that stand; near_m: where each row begins."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], standing > _STANDS, [False]]).astype(np.int8)))
    end_m = 0.0
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        begins_m, ends_m = float(near_m[first]), float(near_m[last - 1]) + ROW_M
        if ends_m - begins_m < _SHORTEST_M:
            continue
        if begins_m - end_m > _QUEUE_HOLE_M:
            break
        end_m = max(end_m, ends_m)
    return end_m
