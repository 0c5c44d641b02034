"""Occupancy, congestion index and its classes.

occupancy = vehicle footprint area / area of the calibrated rectangle (width x visible length), in 0..1.
index = min(1, occupancy / 0.35); free below .25, slow below .5, dense below .8, else jam.

The definition is Kinflow's own: the paper that inspired it (Masanta et al., arXiv 2304.14924) is known here by its
abstract alone, which names road width and visible length as inputs and gives no formula.
"""

from __future__ import annotations

from typing import Literal, get_args

Congestion = Literal["free", "slow", "dense", "jam"]
CONGESTION_CLASSES: tuple[Congestion, ...] = get_args(Congestion)

OCCUPANCY_AT_JAM = 0.35
_UPPER_BOUNDS = (0.25, 0.5, 0.8)
# In index. Enough that on rendered roads the class changes no oftener than the truth's; more holds it back for seconds.
HYSTERESIS = 0.01


def index_from_occupancy(occupancy: float) -> float:
    """Congestion index in 0..1 from occupancy in 0..1."""
    return min(1.0, max(0.0, occupancy / OCCUPANCY_AT_JAM))


def classify(index: float, previous: Congestion | None = None, hysteresis: float = HYSTERESIS) -> Congestion:
    """The class of `index`; with `previous`, a boundary must be passed by `hysteresis` before the class changes."""
    rank = sum(index >= bound for bound in _UPPER_BOUNDS)
    if previous is None:
        return CONGESTION_CLASSES[rank]
    was = CONGESTION_CLASSES.index(previous)
    if rank > was:
        rank = max(was, sum(index >= bound + hysteresis for bound in _UPPER_BOUNDS))
    elif rank < was:
        rank = min(was, sum(index >= bound - hysteresis for bound in _UPPER_BOUNDS))
    return CONGESTION_CLASSES[rank]
