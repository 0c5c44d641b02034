"""A fit that follows what it is fed: least squares over the last values, older ones weighing less (recursive least
squares with forgetting; Haykin, Adaptive Filter Theory, chapter 10), by its sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KEPT = 0.98
_RIDGE = 1e-3
UNKNOWNS = 3


@dataclass(frozen=True)
class Line:
    """seconds = weights of (1, amount, amount x context)."""

    moments: NDArray[np.float64] | None = None
    sums: NDArray[np.float64] | None = None
    weights: NDArray[np.float64] | None = None

    def at(self, x: NDArray[np.float64]) -> float:
        return 0.0 if self.weights is None else max(0.0, float(self.weights @ x))

    def learnt(self, x: NDArray[np.float64], seconds: float) -> Line:
        """With one step more."""
        moments = KEPT * (np.zeros((UNKNOWNS, UNKNOWNS)) if self.moments is None else self.moments) + np.outer(x, x)
        sums = KEPT * (np.zeros(UNKNOWNS) if self.sums is None else self.sums) + x * seconds
        return Line(moments, sums, _solved(moments, sums))


UNLEARNT = Line()


def _solved(moments: NDArray[np.float64], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """No part of a step takes less than nothing: what comes out negative is left out, and the rest solved anew."""
    free = list(range(UNKNOWNS))
    weights = np.zeros(UNKNOWNS)
    while free:
        part = moments[np.ix_(free, free)]
        ridge = _RIDGE * np.trace(part) / len(free) * np.eye(len(free))
        found = np.linalg.solve(part + ridge, sums[free])
        if (found >= 0).all():
            weights[free] = found
            break
        free = [one for one, value in zip(free, found, strict=True) if value >= 0] or free[:-1]
    return weights
