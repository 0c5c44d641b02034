"""Which row goes with which column, so that the sum of the costs is least."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def assign(costs: NDArray[np.float64], limit: float) -> list[tuple[int, int]]:
    """Pairs (row, column), rows ascending; each row and column at most once, no pair at limit or above.

    The least sum of the pairs' costs and of limit for each row that is left alone: a good pair is not broken up for two
    bad ones. Source: the Hungarian method by shortest augmenting paths, Jonker and Volgenant 1987, Computing 38, 325.
    Pairs that nobody contends for are taken without it.
    """
    allowed = costs < limit
    alone = allowed & (allowed.sum(axis=0) == 1)[None, :] & (allowed.sum(axis=1) == 1)[:, None]
    pairs = [(int(row), int(column)) for row, column in zip(*np.nonzero(alone), strict=True)]
    rows = np.flatnonzero(allowed.sum(axis=1) > alone.sum(axis=1))
    if len(rows):
        columns = np.flatnonzero(allowed[rows].any(axis=0))
        contended = np.where(allowed, costs, 2 * limit)[np.ix_(rows, columns)]
        left_alone = np.full((len(rows), len(rows)), limit)
        for row, column in enumerate(_cheapest(np.hstack([contended, left_alone]).tolist())):
            if column < len(columns) and allowed[rows[row], columns[column]]:
                pairs.append((int(rows[row]), int(columns[column])))
    return sorted(pairs)


def _cheapest(costs: Sequence[Sequence[float]]) -> list[int]:
    """The column of each row; there are at least as many columns as rows."""
    rows, columns = len(costs), len(costs[0])
    # Row and column numbers begin at 1; 0 stands for none.
    row_price, column_price = [0.0] * (rows + 1), [0.0] * (columns + 1)
    owner, came_from = [0] * (columns + 1), [0] * (columns + 1)
    for row in range(1, rows + 1):
        owner[0], column = row, 0
        least, done = [math.inf] * (columns + 1), [False] * (columns + 1)
        while owner[column]:
            done[column] = True
            at, step, following = owner[column], math.inf, 0
            for other in range(1, columns + 1):
                if done[other]:
                    continue
                reduced = costs[at - 1][other - 1] - row_price[at] - column_price[other]
                if reduced < least[other]:
                    least[other], came_from[other] = reduced, column
                if least[other] < step:
                    step, following = least[other], other
            for other in range(columns + 1):
                if done[other]:
                    row_price[owner[other]] += step
                    column_price[other] -= step
                else:
                    least[other] -= step
            column = following
        while column:
            owner[column], column = owner[came_from[column]], came_from[column]
    found = [0] * rows
    for column in range(1, columns + 1):
        if owner[column]:
            found[owner[column] - 1] = column - 1
    return found
