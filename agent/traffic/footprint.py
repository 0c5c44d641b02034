"""From covered stretches of a lane to vehicles: how much road stands under them.

A camera sees a vehicle's top further away than its wheels, so that vehicles hide the road and one another. A covered
stretch is therefore cut back to where its last vehicle ends, and filled with cars one gap apart.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.traffic.birds_eye import ROW_M, BirdsEye

# The mean vehicle of mixed traffic: mostly cars, some vans, lorries, buses and motorcycles.
CAR_LENGTH_M = 4.8
CAR_WIDTH_M = 1.9
# Gap between vehicles that stand; those that move keep more, up to what the view can still tell apart.
STANDING_GAP_M = 2.2
_WIDEST_GAP_M = 12.0
# A queue may begin this far from the stop line, and has no hole longer than this.
_QUEUE_BEGINS_M = 8.0
_QUEUE_HOLE_M = 9.0
# A row stands when little of it changes, and a stretch when this share of its rows does.
_STANDS_BELOW, _STANDING_SHARE = 0.25, 0.5


@dataclass(frozen=True)
class Stretch:
    """A covered stretch of one lane: from the near end of its first to the far end of its last vehicle. standing_m: how
    far of it stands; near_m when it drives."""

    near_m: float
    far_m: float
    gap_m: float
    widest_gap_m: float
    standing_m: float


@dataclass(frozen=True)
class LaneLoad:
    """Vehicles in one lane. footprint_m2 with the least and the most that the view allows; queue_m from the stop
    line, 0 when none stands there."""

    vehicles: float
    footprint_m2: float
    least_m2: float
    most_m2: float
    queue_m: float


def stretches(covered: NDArray[np.bool_], moving: NDArray[np.floating], view: BirdsEye) -> list[Stretch]:
    """Runs of covered rows within the rectangle. moving: 0 (stands) to 1 (drives), for each row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], covered, [False]]).astype(np.int8)))
    found = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        near_m = float(view.rows.near_m[first])
        seen_m = float(view.rows.near_m[last - 1]) + ROW_M
        far_m = min(max(view.ends_at(seen_m), near_m + ROW_M), view.calibration.visible_length_m)
        if near_m >= view.calibration.visible_length_m or far_m <= 0 or seen_m - near_m < 2 * ROW_M:
            continue
        hidden_m = view.seen_at(near_m) - near_m + float(view.hole_m[first])
        widest_m = float(np.clip(hidden_m, STANDING_GAP_M, _WIDEST_GAP_M))
        speed = float(np.mean(moving[first:last]))
        gap_m = STANDING_GAP_M + speed * (widest_m - STANDING_GAP_M)
        still = np.flatnonzero(moving[first:last] < _STANDS_BELOW)
        standing_m = view.ends_at(float(view.rows.near_m[first + still[-1]]) + ROW_M) if len(still) else near_m
        if len(still) < _STANDING_SHARE * (last - first):
            standing_m = near_m
        found.append(Stretch(max(near_m, 0.0), far_m, gap_m, widest_m, min(max(standing_m, near_m), far_m)))
    return found


def fill(edged: NDArray[np.bool_], hole_rows: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Rows covered by vehicles, from the rows that show edges: holes up to hole_rows (by row) are their flat parts."""
    covered = edged.copy()
    rows = np.flatnonzero(edged)
    for last, following in itertools.pairwise(rows):
        if 1 < following - last <= hole_rows[last]:
            covered[last:following] = True
    return covered


def vehicles_in(length_m: float, gap_m: float) -> float:
    """How many cars one gap apart fill a stretch; a fraction where it is shorter than a car."""
    if length_m <= CAR_LENGTH_M:
        return max(0.0, length_m) / CAR_LENGTH_M
    return (length_m + gap_m) / (CAR_LENGTH_M + gap_m)


def load(found: list[Stretch]) -> LaneLoad:
    def total(gaps: list[float]) -> float:
        return sum(vehicles_in(one.far_m - one.near_m, gap) for one, gap in zip(found, gaps, strict=True))

    each_m2 = CAR_LENGTH_M * CAR_WIDTH_M
    vehicles = total([one.gap_m for one in found])
    least = total([max(one.gap_m, one.widest_gap_m) for one in found])
    most = total([STANDING_GAP_M for one in found])
    return LaneLoad(vehicles, vehicles * each_m2, least * each_m2, most * each_m2, queue_length(found))


def queue_length(found: list[Stretch]) -> float:
    """Metres from the stop line to the end of the vehicles that stand behind one another."""
    end_m, reach_m = 0.0, _QUEUE_BEGINS_M
    for one in found:
        if one.near_m > reach_m or one.standing_m <= one.near_m:
            break
        end_m = max(end_m, one.standing_m)
        reach_m = end_m + _QUEUE_HOLE_M
    return end_m
