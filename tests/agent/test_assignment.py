"""The assignment is the cheapest there is, by trying all of them."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agent.traffic.assignment import assign

LIMIT = 0.85
COSTS = arrays(
    np.float64,
    st.tuples(st.integers(0, 5), st.integers(0, 5)),
    elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 0.84, 0.85, 1.0]) | st.floats(0, 1),
)


def total(costs: np.ndarray, pairs: list[tuple[int, int]]) -> float:
    return sum(costs[pair] for pair in pairs) + LIMIT * (len(costs) - len(pairs))


def cheapest(costs: np.ndarray) -> float:
    rows, columns = costs.shape
    choices = itertools.product([None, *range(columns)], repeat=rows)
    sets = (
        [(row, column) for row, column in enumerate(choice) if column is not None]
        for choice in choices
        if len({one for one in choice if one is not None}) == sum(one is not None for one in choice)
    )
    return min(total(costs, pairs) for pairs in sets if all(costs[pair] < LIMIT for pair in pairs))


@settings(max_examples=60, deadline=None)
@given(COSTS)
def test_the_cheapest_set_of_pairs_is_taken(costs: np.ndarray) -> None:
    pairs = assign(costs, LIMIT)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(costs[pair] < LIMIT for pair in pairs)
    assert total(costs, pairs) <= cheapest(costs) + 1e-9


def test_a_good_pair_is_not_broken_up_for_two_bad_ones() -> None:
    assert assign(np.array([[0.1, 0.8], [0.8, 1.0]]), LIMIT) == [(0, 0)]
