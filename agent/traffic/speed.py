"""How fast a lane moves, from the shift between two of its profiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agent.traffic.birds_eye import ROW_M, Profile
from agent.traffic.calibration import Calibration
from agent.traffic.track import Track

_FASTEST_MPS = 28.0
_CLEAREST = 0.6
_FEWEST_ROWS = 6


def lane_speed(earlier: Profile, later: Profile, elapsed_s: float, lean: float) -> float | None:
    """Metres a second along one lane, in either direction; None where the profiles do not tell.

    earlier, later: deviation from the empty road by row. lean: by how much a vehicle's half height moves faster over
    the road's plane than its wheels do.
    """
    most = min(int(_FASTEST_MPS * elapsed_s * lean / ROW_M) + 1, len(earlier) - _FEWEST_ROWS)
    if elapsed_s <= 0 or most < 1 or (later > 0).sum() < _FEWEST_ROWS:
        return None
    scores = _likeness(earlier, later, most)
    best = int(scores.argmax())
    if scores[best] < _CLEAREST:
        return None
    offset = 0.0
    if 0 < best < len(scores) - 1:
        before, peak, after = scores[best - 1 : best + 2]
        curve = before - 2 * peak + after
        offset = 0.5 * (before - after) / curve if curve < 0 else 0.0
    return abs(best + offset - most) * ROW_M / elapsed_s / lean


def tracked_speed(tracks: Sequence[Track], calibration: Calibration) -> NDArray[np.float64]:
    """The mean speed along the road of what is tracked in each lane (lanes,), NaN where nothing is."""
    lanes, lane_m = calibration.lanes, calibration.road_width_m / calibration.lanes
    speeds: list[list[float]] = [[] for _ in range(lanes)]
    for track in tracks:
        if track.ground is None or track.velocity_mps is None or track.label == "person":
            continue
        x, y = track.ground
        if 0 <= x < lanes * lane_m and 0 <= y < calibration.visible_length_m:
            speeds[int(x // lane_m)].append(abs(track.velocity_mps[1]))
    return np.array([np.mean(one) if one else np.nan for one in speeds])


def _likeness(earlier: Profile, later: Profile, most: int) -> NDArray[np.float64]:
    """For shifts of -most to most rows, the correlation of the rows that overlap, less for fewer of them."""
    a, b = earlier.astype(np.float64), later.astype(np.float64)
    rows, shifts = len(a), np.arange(-most, most + 1)
    # At a shift s, rows s and up of the earlier meet rows 0 and up of the later one.
    products = np.correlate(a, b, "full")[rows - 1 + shifts]
    from_a, from_b = np.maximum(0, shifts), np.maximum(0, -shifts)
    overlap = rows - np.abs(shifts)
    (sum_a, square_a), (sum_b, square_b) = (
        [_sums(values, begins, overlap) for values in (one, one * one)] for one, begins in ((a, from_a), (b, from_b))
    )
    together = products - sum_a * sum_b / overlap
    scale = np.sqrt(np.maximum(square_a - sum_a**2 / overlap, 0) * np.maximum(square_b - sum_b**2 / overlap, 0))
    alike = np.divide(together, scale, out=np.zeros(len(shifts)), where=scale > 1e-6)
    found: NDArray[np.float64] = alike * (overlap / rows) ** 0.25
    return found


def _sums(values: NDArray[np.float64], begins: NDArray[np.intp], count: NDArray[np.intp]) -> NDArray[np.float64]:
    running = np.concatenate([[0.0], np.cumsum(values)])
    found: NDArray[np.float64] = running[begins + count] - running[begins]
    return found
