"""A programme's changes, greens and joint run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sim_devices.sumo.programme import Programme, Step, joined, spells

CROSSING = Programme((Step(20_000, "Gr"), Step(3_000, "yr"), Step(1_000, "rr"), Step(16_000, "rG"), Step(4_000, "ry")))


def test_yellow_and_all_red_are_changes():
    assert [CROSSING.is_change(at) for at in range(5)] == [False, True, True, False, True]


def test_an_all_red_beside_an_overlap_is_a_change():
    overlap = Programme((Step(20_000, "GGr"), Step(3_000, "Gyr"), Step(2_000, "Grr"), Step(20_000, "GrG")))
    assert overlap.is_change(2)


def test_a_green_is_told_with_its_yellow():
    assert spells(CROSSING, 0) == [(0, 20_000, 3_000)]
    assert spells(CROSSING, 1) == [(24_000, 40_000, 4_000)]


def test_a_green_that_runs_over_the_end_of_the_cycle_is_one():
    turned = Programme((Step(5_000, "G"), Step(3_000, "y"), Step(10_000, "r"), Step(7_000, "G")))
    assert spells(turned, 0) == [(18_000, 30_000, 3_000)]


def test_a_link_that_never_waits_has_no_spells():
    assert spells(Programme((Step(5_000, "Gr"), Step(5_000, "gG"))), 0) == []


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.integers(-20, 20),
)
def test_programmes_that_run_side_by_side_show_together_what_each_shows(first, second, offset_s):
    one = Programme(tuple(Step(s * 1000, "Gr"[at % 2]) for at, s in enumerate(first)))
    other = Programme(tuple(Step(s * 1000, "rG"[at % 2]) for at, s in enumerate(second)), offset_s * 1000)
    both = joined([one, other])

    def shows(programme: Programme, time_ms: int) -> str:
        left_ms = (time_ms - programme.offset_ms) % programme.cycle_ms
        for step in programme.steps:
            left_ms -= step.duration_ms
            if left_ms < 0:
                return step.signs
        raise AssertionError

    for time_ms in range(0, both.cycle_ms, 1_000):
        assert shows(both, time_ms) == shows(one, time_ms) + shows(other, time_ms)
