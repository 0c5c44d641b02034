"""What a choice takes, guessed between measurements. Pure.

Time and memory are taken as sums of a few quantities, with factors that are fitted to what was measured on this machine
and are never negative. The guess only chooses what to measure next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isfinite

import numpy as np

from models.tuning.graph import Array
from models.tuning.search.space import Choice, Space


@dataclass(frozen=True)
class Cost:
    step_ms: float
    memory_mb: float

    def fits(self, budget: Cost) -> bool:
        """budget: 0 for anything."""
        in_time = not budget.step_ms or self.step_ms <= budget.step_ms
        return in_time and (not budget.memory_mb or self.memory_mb <= budget.memory_mb)

    def excess(self, budget: Cost) -> float:
        """How far above the budget, as a share of it; 0 where it fits."""
        pairs = ((self.step_ms, budget.step_ms), (self.memory_mb, budget.memory_mb))
        return sum(max(have / most - 1, 0.0) for have, most in pairs if most)


def quantities(space: Space, choice: Choice, slots: int, pieces: int = 1) -> tuple[Array, Array]:
    """Those of time: pieces, products on the way back to the earliest layer, products of weights' gradients, numbers
    trained. Those of memory: one, bytes written by layers from the earliest on, bytes read by trained weights, bytes of
    gradients, state and its `slots` numbers each that the optimizer remembers. pieces: that a batch is computed in;
    what they add up to is one more number for each trained one."""
    tensors = space.tensors(choice)
    places = [space.at[name] for name in tensors if name in space.at]
    first = min(places, default=len(space.sizes))
    back = space.sizes[first:]
    trained = [space.sizes[space.at[name]] for name in tensors if name in space.weights]
    numbers = float(sum(space.numbers[name] for name in tensors))
    time = [float(pieces), sum(one.products for one in back), sum(one.products for one in trained), numbers]
    written, read = sum(one.written for one in back), sum(one.read for one in trained)
    state = 4 * (3 + 2 * slots + (pieces > 1)) * numbers
    return np.array(time), np.array([1.0, written / pieces, read / pieces, state])


def fitted(rows: Sequence[Array], measured: Sequence[float]) -> Array:
    """Factors of the quantities, none negative, with the least squares of what is left. Of each number of quantities
    every set is tried: there are few."""
    matrix, wanted = np.stack(rows), np.asarray(measured, float)
    scale = np.maximum(np.abs(matrix).max(0), 1e-12)
    scaled = matrix / scale
    best: Array = np.zeros(matrix.shape[1])
    least = float((wanted**2).sum())
    for count in range(1, matrix.shape[1] + 1):
        for chosen in combinations(range(matrix.shape[1]), count):
            columns = list(chosen)
            factors, *_ = np.linalg.lstsq(scaled[:, columns], wanted, rcond=None)
            rest = float(((scaled[:, columns] @ factors - wanted) ** 2).sum())
            if (factors >= 0).all() and rest < least * (1 - 1e-9):
                best, least = np.zeros(matrix.shape[1]), rest
                best[columns] = factors
    per_unit: Array = best / scale
    return per_unit


class Costs:
    """What was measured, and a guess for the rest, within a budget: a choice has the fewest pieces that it fits with.
    slots: numbers that the optimizer remembers for each trained one. pieces: how many a batch may have, rising."""

    def __init__(
        self, space: Space, slots: int, measured: Mapping[tuple[Choice, int], Cost], budget: Cost,
        pieces: Sequence[int] = (1,),
    ) -> None:  # fmt: skip
        self._space, self._slots, self._budget, self._pieces = space, slots, budget, pieces
        self._measured = dict(measured)
        known = {key: cost for key, cost in measured.items() if isfinite(cost.memory_mb)}
        rows = [quantities(space, choice, slots, pieces) for choice, pieces in known]
        self._time = fitted([time for time, _ in rows], [one.step_ms for one in known.values()])
        self._memory = fitted([memory for _, memory in rows], [one.memory_mb for one in known.values()])

    def at(self, choice: Choice, pieces: int) -> Cost:
        if (choice, pieces) in self._measured:
            return self._measured[choice, pieces]
        time, memory = quantities(self._space, choice, self._slots, pieces)
        return Cost(float(time @ self._time), float(memory @ self._memory))

    def pieces(self, choice: Choice) -> int:
        """The fewest that it fits with; else those that it exceeds the budget by the least with."""
        return self._least(choice)[0]

    def __call__(self, choice: Choice) -> Cost:
        return self._least(choice)[1]

    def _least(self, choice: Choice) -> tuple[int, Cost]:
        ways: list[tuple[int, Cost]] = []
        for pieces in self._pieces:
            ways.append((pieces, self.at(choice, pieces)))
            if ways[-1][1].fits(self._budget):
                return ways[-1]
        return min(ways, key=lambda one: one[1].excess(self._budget))
