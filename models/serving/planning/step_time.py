"""How long a step takes, fitted while it is used: seconds = a + b rows + c rows x context.

The last term is attention, which reads what a sequence holds for each row that is added. Least squares over the last
steps, older ones weighing less (recursive least squares with forgetting; Haykin, Adaptive Filter Theory, chapter 10),
by its sums: three unknowns, so a 3 x 3 system a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KEPT = 0.98
# Rows and contexts are scaled so that the three sums are of one size.
_ROWS, _PAIRS = 64.0, 64.0 * 1024.0
_RIDGE = 1e-3
_USUAL_ROWS = 64
UNKNOWNS = 3


@dataclass(frozen=True)
class Work:
    """What a step holds. pairs: of each piece rows x (context + rows / 2), summed."""

    rows: int
    pairs: float

    def __add__(self, other: Work) -> Work:
        return Work(self.rows + other.rows, self.pairs + other.pairs)


def work(rows: int, context: int) -> Work:
    """context: tokens that the sequence holds before."""
    return Work(rows, rows * (context + rows / 2))


NOTHING = Work(0, 0.0)


@dataclass(frozen=True)
class StepTime:
    """Before anything ran nothing is known: `expected_s` is 0, and `knows` False."""

    moments: NDArray[np.float64] | None = None
    sums: NDArray[np.float64] | None = None
    weights: NDArray[np.float64] | None = None
    seen: int = 0

    @property
    def knows(self) -> bool:
        return self.seen > 0

    def expected_s(self, done: Work) -> float:
        if self.weights is None:
            return 0.0
        return max(0.0, float(self.weights @ _features(done)))

    @property
    def row_s(self) -> float:
        """Of a row of a prompt, in a step of a usual size."""
        return self.expected_s(work(_USUAL_ROWS, 0)) / _USUAL_ROWS

    @property
    def step_s(self) -> float:
        """Of a step of one row, with nothing before it."""
        return self.expected_s(work(1, 0))

    @property
    def more_row_s(self) -> float:
        """Of each row beyond the first, in a step of a usual size."""
        return (self.expected_s(work(_USUAL_ROWS, 0)) - self.step_s) / (_USUAL_ROWS - 1)

    def learnt(self, done: Work, seconds: float) -> StepTime:
        """With one step more."""
        x = _features(done)
        moments = KEPT * (np.zeros((UNKNOWNS, UNKNOWNS)) if self.moments is None else self.moments) + np.outer(x, x)
        sums = KEPT * (np.zeros(UNKNOWNS) if self.sums is None else self.sums) + x * seconds
        return StepTime(moments, sums, _solved(moments, sums), self.seen + 1)


def _features(done: Work) -> NDArray[np.float64]:
    return np.array([1.0, done.rows / _ROWS, done.pairs / _PAIRS])


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
