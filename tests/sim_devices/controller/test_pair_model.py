"""A pair of edge servers: whatever falls, splits, loses or delays, a controller obeys one at a time and has a plan."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.edge_server.signals.signal_sites import crossing, random_intersections
from tests.sim_devices.controller.pair_bench import FIRST, OTHER, SECOND, PairBench

HAPPENINGS = st.sampled_from(
    [
        "fall-first", "fall-second", "rise", "split", "join", "cut-first", "cut-second", "mend",
        "lossy", "slow", "repeating", "clean", "restart-controller", "restart-first", "restart-second",
    ]
)  # fmt: skip


def happen(bench: PairBench, what: str) -> None:  # noqa: PLR0912 (one for each happening)
    network = bench.network
    match what:
        case "fall-first":
            bench.fall(FIRST)
        case "fall-second":
            bench.fall(SECOND)
        case "rise":
            bench.rise(FIRST)
            bench.rise(SECOND)
        case "split":
            bench.link = False
        case "join":
            bench.link = True
        case "cut-first":
            bench.road[FIRST] = False
        case "cut-second":
            bench.road[SECOND] = False
        case "mend":
            bench.road = {FIRST: True, SECOND: True}
        case "lossy":
            network.loss = 0.5
        case "slow":
            network.delay_ms = 4_000
        case "repeating":
            network.copies = 0.8
        case "clean":
            network.loss, network.copies, network.delay_ms = 0.0, 0.0, 0
        case "restart-controller":
            bench.restart_controller()
        case "restart-first":
            bench.restart_edge(FIRST)
        case "restart-second":
            bench.restart_edge(SECOND)


@settings(max_examples=60, deadline=None)
@given(
    intersection=random_intersections(),
    seed=st.integers(0, 2**32),
    story=st.lists(st.tuples(HAPPENINGS, st.sampled_from([0.3, 1.0, 2.5, 6.0])), max_size=14),
)
def test_one_edge_at_most_is_obeyed_and_no_controller_is_without_a_plan(intersection, seed, story):
    bench = PairBench(intersection, seed)
    for what, seconds in story:
        happen(bench, what)
        bench.run(seconds)
        assert bench.wrong == []
    for what in ("rise", "join", "mend", "clean"):
        happen(bench, what)
    bench.run(14)
    assert bench.wrong == []
    assert bench.unplanned == 0
    assert bench.control == "edge", "once all is whole one of them steers again"
    assert sorted(one.junction.lease.standing for one in bench.edges.values()) == ["holding", "standing-by"]


def test_the_first_steers_when_both_begin_together():
    for seed in range(10):
        bench = PairBench(crossing(), seed)
        bench.run(6)
        assert bench.steering[-1] == FIRST
        assert set(bench.steering) <= {None, FIRST}


def test_the_second_steers_within_ten_seconds_of_the_first_ones_fall_and_keeps_it():
    for seed in range(10):
        bench = PairBench(crossing(), seed)
        bench.run(20 + seed / 10)
        bench.fall(FIRST)
        fell = len(bench.steering)
        bench.run(10)
        assert SECOND in bench.steering[fell:]
        bench.rise(FIRST)
        bench.run(30)
        assert set(bench.steering[-300:]) == {SECOND}, "a first one that is back does not grab"
        assert bench.edges[FIRST].faults == {}, "and that the other one steers is no fault"
        bench.fall(SECOND)
        bench.run(10)
        assert bench.steering[-1] == FIRST
        assert bench.wrong == []


def test_a_first_one_that_cannot_reach_the_controller_is_relieved_although_it_lives():
    bench = PairBench(crossing(), seed=1)
    bench.run(20)
    bench.road[FIRST] = False
    bench.link = False
    bench.run(10)
    assert bench.on == SECOND
    assert bench.steering[-1] == SECOND
    bench.road[FIRST], bench.link = True, True
    bench.run(10)
    assert bench.wrong == []


def test_when_the_two_are_split_each_controller_obeys_the_one_that_it_is_on():
    for on in (FIRST, SECOND):
        bench = PairBench(crossing(), seed=2)
        bench.on = on
        bench.run(20)
        bench.link = False
        bench.run(10)
        assert bench.steering[-1] == on
        bench.link = True
        bench.run(20)
        assert bench.steering[-1] == on
        assert bench.edges[OTHER[on]].junction.lease.standing == "standing-by"
        assert bench.wrong == []
