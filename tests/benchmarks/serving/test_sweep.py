"""The load at which a server gives the most goodput is found, whatever its goodput looks like."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.serving.peers.row import Row
from benchmarks.serving.peers.sweep import swept

loads = st.lists(st.floats(0.01, 10), min_size=1, max_size=12, unique=True).map(sorted)


def bearing(most_per_s: float, then: float = 1.0):
    """A server that answers all in time up to a load, and loses `then` requests for each that comes beyond."""

    def measure(load_per_s: float) -> Row:
        good = min(load_per_s, max(0.0, most_per_s - then * (load_per_s - most_per_s)))
        return Row(server="one", setting="", load_per_s=load_per_s, goodput_per_s=good)

    return measure


@given(loads, st.floats(0.01, 10), st.floats(0, 5))
def test_the_best_load_is_among_those_that_are_run(loads: list[float], most: float, then: float) -> None:
    measure = bearing(most, then)
    best = max(measure(load).goodput_per_s or 0.0 for load in loads)
    assert max(row.goodput_per_s or 0.0 for row in swept(loads, measure)) == best


@given(loads, st.floats(0.01, 10), st.floats(0, 5))
def test_no_load_is_run_twice(loads: list[float], most: float, then: float) -> None:
    run = [row.load_per_s for row in swept(loads, bearing(most, then))]
    assert len(set(run)) == len(run)
    assert set(run) <= set(loads)


def test_small_loads_are_not_run_where_none_could_give_more() -> None:
    rising = [0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0]
    assert [row.load_per_s for row in swept(rising, bearing(0.55, 2.0))] == [0.5, 0.6, 0.8]
    assert [row.load_per_s for row in swept(rising, bearing(0.35, 2.0))] == [0.5, 0.6, 0.4, 0.3]


def test_a_server_that_answers_nothing_is_asked_for_every_smaller_load() -> None:
    nothing = Row(server="one", setting="", goodput_per_s=None)
    assert len(swept([1.0, 2.0, 3.0], lambda _: nothing)) == 3
