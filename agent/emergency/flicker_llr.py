"""How much more likely a flicker is with blue or red beacons than without: a logistic model of ten figures.

Its weights were fitted to the shipped detector's boxes on rendered vehicles with and without beacons, by
benchmarks/eval/fit_beacons.py. A fit of two groups that hardly touch leaves the scale of the answer open, so that is
stated: docs/emergency.md says from how many it was chosen.
"""

from __future__ import annotations

from math import log

import numpy as np
from numpy.typing import NDArray

from agent.emergency.flicker import Flicker

NAMES = ("explained", "levels", "blue or red", "cycles", "brightness", "steady", "added", "outside", "edge", "once")
WEIGHTS = (0.541, 0.692, 7.069, -0.067, 3.296, 2.129, 11.34, -0.484, -2.391, -2.319)
CONSTANT = -21.67
SCALE, MIDDLE = 3.3, -0.43
LEAST_CYCLES = 1.8
_QUIET_PER_S, _QUIET = -1.0, -3.0


def figures(found: Flicker) -> NDArray[np.float64]:
    """What is weighed, each held within the range that it was fitted on."""
    explained = min(0.9, max(0.1, found.explained))
    return np.array(
        [
            log(explained / (1 - explained)),
            log(min(45.0, max(2.0, found.levels))),
            found.colours[0] + found.colours[1],
            log(min(6.0, max(1.2, found.cycles))),
            (min(240.0, max(140.0, found.brightness)) - 140) / 100,
            max(-0.2, found.steady),
            found.added,
            log(min(5.0, max(0.05, found.outside))),
            found.edge,
            min(1.5, found.once / explained),
        ]
    )


def flicker_llr(found: Flicker) -> float:
    if found.cycles < LEAST_CYCLES:
        return 0.0
    return SCALE * (float(np.dot(WEIGHTS, figures(found))) + CONSTANT - MIDDLE)


def quiet_llr(watched_s: float) -> float:
    """Of nothing that flickers for so long: the slowest beacon would have shown in two of its periods."""
    return max(_QUIET, _QUIET_PER_S * watched_s)
