"""How fast a lane moves, from the shift between two of its profiles."""

from __future__ import annotations

import numpy as np

from agent.traffic.birds_eye import ROW_M, Profile

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
    scores = np.array([_likeness(earlier, later, shift) for shift in range(-most, most + 1)])
    best = int(scores.argmax())
    if scores[best] < _CLEAREST:
        return None
    offset = 0.0
    if 0 < best < len(scores) - 1:
        before, peak, after = scores[best - 1 : best + 2]
        curve = before - 2 * peak + after
        offset = 0.5 * (before - after) / curve if curve < 0 else 0.0
    return abs(best + offset - most) * ROW_M / elapsed_s / lean


def _likeness(earlier: Profile, later: Profile, shift: int) -> float:
    """Correlation of the overlapping rows, a little less for a smaller overlap."""
    a = earlier[max(0, shift) : len(earlier) + min(0, shift)]
    b = later[max(0, -shift) : len(later) + min(0, -shift)]
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale * (len(a) / len(earlier)) ** 0.25 if scale > 1e-6 else 0.0
