"""What was reckoned is put right by what prompts took lately, and short prompts tell nothing of long ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.serving.separation.corrected import Corrected

factors = st.floats(0.2, 9)


@given(st.floats(0.0, 1e4))
def test_nothing_seen_leaves_it_as_it_was(reckoned_s: float) -> None:
    assert Corrected().seconds(reckoned_s) == pytest.approx(reckoned_s)


@given(st.floats(0.01, 1e4), factors)
def test_prompts_of_one_length_are_soon_right(reckoned_s: float, factor: float) -> None:
    found = Corrected()
    for _ in range(12):
        found = found.seen(reckoned_s, factor * reckoned_s)
    assert found.seconds(reckoned_s) == pytest.approx(factor * reckoned_s, rel=0.1)
    for _ in range(200):
        found = found.unseen()
    assert found.seconds(reckoned_s) == pytest.approx(reckoned_s, rel=0.01)


@given(st.floats(0, 5), factors)
def test_a_wait_and_a_factor_are_told_apart(wait_s: float, factor: float) -> None:
    found = Corrected()
    for reckoned_s in (5.0, 60.0, 20.0, 40.0) * 5:
        found = found.seen(reckoned_s, wait_s + factor * reckoned_s)
    for reckoned_s in (10.0, 50.0):
        assert found.seconds(reckoned_s) == pytest.approx(wait_s + factor * reckoned_s, rel=0.1)


@given(st.lists(st.tuples(st.floats(0.02, 0.5), st.floats(0, 2)), min_size=1, max_size=60))
def test_short_prompts_that_wait_for_one_another_dont_make_long_ones_look_slow(
    waits: list[tuple[float, float]],
) -> None:
    found = Corrected()
    for reckoned_s, wait_s in waits:
        found = found.seen(reckoned_s, reckoned_s + wait_s)
    assert found.seconds(10.0) == pytest.approx(10.0, abs=4)


@given(st.floats(0.01, 100))
def test_one_that_hung_is_no_machine(reckoned_s: float) -> None:
    assert Corrected().seen(reckoned_s, 1e6).seconds(reckoned_s) <= 10 * (reckoned_s + 0.1) + 1e-6
