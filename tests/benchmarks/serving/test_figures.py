"""Figures of answers whose moments are known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.serving.answer import Answer
from benchmarks.serving.figures import Slo, keeps, quantile, spread, told

SLO = Slo(ttft_s=1.0, tbt_ms=100.0, how="given")


def answer(first_s: float, *gaps_s: float, at_s: float = 0.0, failure: str = "", left: bool = False) -> Answer:
    end_s = at_s + first_s + sum(gaps_s)
    return Answer(at_s, at_s, end_s, 10, 4, at_s + first_s, gaps_s, len(gaps_s) + 1, 10, "stop", failure, left)


def test_goodput_counts_what_was_whole_and_in_time() -> None:
    good = answer(0.5, 0.05, 0.15, 0.05)
    assert keeps(good, SLO)
    assert not keeps(good, SLO, every_gap=True)
    assert not keeps(answer(1.5, 0.05), SLO)
    assert not keeps(answer(0.5, 0.2, 0.2), SLO)
    assert not keeps(answer(0.5, 0.05, failure="cut"), SLO)
    assert not keeps(answer(0.5, 0.05, left=True), SLO)
    refused = Answer(1.0, 1.0, 1.1, 10, 4, failure="http 429")
    found = told([good, answer(0.5, 0.05, 0.05, at_s=3.4), refused], SLO)
    assert (found.requests, found.failed, found.failures) == (3, 1, {"http 429": 1})
    assert found.seconds == pytest.approx(4.0)
    assert (found.goodput_per_s, found.goodput_every_gap_per_s) == (0.5, 0.25)
    assert found.tokens_per_s == pytest.approx(7 / 4, abs=1e-3)
    assert found.tbt_ms.max == 150.0


def test_latency_counts_from_when_it_was_wanted() -> None:
    late = Answer(10.0, 12.0, 13.0, 10, 1, first_s=12.5, tokens=1, ended="stop")
    found = told([late], SLO)
    assert found.ttft_s.p50 == 2.5
    assert found.late_ms.max == 2000.0
    assert found.goodput_per_s == 0


def test_prompts_that_were_counted_otherwise_are_told() -> None:
    found = told([answer(0.1), Answer(0, 0, 1, 10, 4, 0.5, (), 2, 13, "stop")], None)
    assert (found.prompt_off, found.prompt_off_most) == (1, 3)
    assert found.said_share == pytest.approx(3 / 8)
    assert found.goodput_per_s is None


def test_of_nothing_there_is_nothing() -> None:
    found = told([], SLO)
    assert (found.requests, found.ttft_s.p50, found.tokens_per_s, found.goodput_per_s) == (0, None, 0, 0)


@given(values=st.lists(st.floats(0, 100), min_size=1, max_size=200), share=st.floats(0.01, 1))
def test_a_quantile_has_its_share_below(values: list[float], share: float) -> None:
    ordered = sorted(values)
    found = quantile(ordered, share)
    assert found in ordered
    assert sum(one <= found for one in ordered) >= share * len(ordered) - 1e-6
    assert sum(one < found for one in ordered) <= share * len(ordered)
    spreads = spread(values)
    assert spreads.p50 <= spreads.p99 <= spreads.max
