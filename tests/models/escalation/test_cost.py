"""The cost model's laws, and what is measured for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import RequestUnserved
from models.escalation.cost import MOST_WINDOW, Link, Rounds, Upper, Whole, choose, expected
from models.escalation.measured import Measured
from models.escalation.spread import rounded, rows, table
from protocol.tiers import Spread

times = st.floats(1e-5, 1.0)
shares = st.floats(0.0, 0.99)


@st.composite
def all_rounds(draw: st.DrawFn) -> Rounds:
    return Rounds(
        link=Link(draw(times), draw(st.floats(0, 1e-4))),
        upper=Upper(draw(times), draw(st.floats(0, 0.1))),
        draft_s=draw(times),
        acceptance=draw(shares),
        row_bytes=draw(st.floats(1, 5000)),
        round_bytes=draw(st.floats(1, 1000)),
        row_s=draw(st.floats(0, 0.1)),
    )


@given(all_rounds())
def test_the_best_window_is_the_best_and_never_worse_than_none(ways: Rounds) -> None:
    best = ways.best_window()
    assert 0 <= best <= MOST_WINDOW
    assert all(ways.rate(best) >= ways.rate(window) for window in range(MOST_WINDOW + 1))


@given(all_rounds(), st.floats(1.1, 50.0))
def test_a_longer_way_never_makes_the_window_smaller(ways: Rounds, times_longer: float) -> None:
    farther = Rounds(**{**vars(ways), "link": Link(ways.link.rtt_s * times_longer, ways.link.byte_s)})
    assert farther.best_window() >= ways.best_window()
    assert farther.rate(ways.best_window()) <= ways.rate(ways.best_window())


@given(all_rounds(), st.floats(0.0, 1.0))
def test_better_drafts_never_make_the_window_smaller_nor_the_answer_slower(ways: Rounds, share: float) -> None:
    worse = Rounds(**{**vars(ways), "acceptance": ways.acceptance * share})
    assert worse.best_window() <= ways.best_window()
    assert worse.rate(worse.best_window()) <= ways.rate(ways.best_window()) * (1 + 1e-12)


@given(shares, st.integers(0, 30))
def test_a_round_gives_at_least_one_token_and_at_most_all(acceptance: float, window: int) -> None:
    assert 1 <= expected(acceptance, window) <= window + 1
    if acceptance:
        closed = (1 - acceptance ** (window + 1)) / (1 - acceptance)
        assert expected(acceptance, window) == pytest.approx(closed)


@given(all_rounds(), st.integers(1, 500), st.integers(1, 200), st.floats(0, 1e6), st.floats(0, 30))
def test_what_is_chosen_keeps_to_budget_and_deadline_and_is_the_fastest_that_does(
    ways: Rounds, prompt: int, said: int, budget: float, left_s: float
) -> None:
    whole = Whole(ways.link, ways.upper, 200.0 + 6 * prompt)
    chosen = choose({"question": whole, "draft": ways}, prompt, said, left_s=left_s, budget_bytes=budget)
    if chosen.way == "device":
        assert chosen.why
        return
    assert chosen.seconds <= left_s
    assert chosen.bytes_sent <= budget
    free = choose({"question": whole, "draft": ways}, prompt, said)
    assert free.seconds <= chosen.seconds


def test_a_slow_upper_step_is_what_drafts_are_for() -> None:
    link, upper = Link(0.02), Upper(0.1, 0.001)
    drafts = Rounds(link, upper, draft_s=0.002, acceptance=0.8, row_bytes=5, round_bytes=300)
    whole = Whole(link, upper, 300)
    assert choose({"question": whole, "draft": drafts}, 20, 64).way == "draft"
    far = Link(2.0)
    drafts = Rounds(far, upper, draft_s=0.002, acceptance=0.8, row_bytes=5, round_bytes=300)
    assert choose({"question": Whole(far, upper, 300), "draft": drafts}, 20, 64).way == "question"
    assert choose({}, 20, 64).way == "device"


@given(st.floats(0.05, 0.5), st.floats(1e-8, 1e-5), st.lists(st.integers(100, 50_000), min_size=3, unique=True))
def test_round_trip_and_bandwidth_come_out_of_rounds_of_several_sizes(
    rtt_s: float, byte_s: float, sizes: list[int]
) -> None:
    measured = Measured()
    for size in sizes:
        measured = measured.round(rtt_s + byte_s * size + 0.05, size, 1, 0.05)
    assert measured.link.seconds(sizes[0]) == pytest.approx(rtt_s + byte_s * sizes[0], rel=1e-3)
    assert measured.upper.step_s == pytest.approx(0.05)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=60))
def test_acceptance_stays_a_share(rounds: list[tuple[int, int]]) -> None:
    measured = Measured()
    for drafted, accepted in rounds:
        measured = measured.verdict(drafted, min(drafted, accepted))
        assert 0 <= measured.acceptance < 1
    for _ in range(200):
        measured = measured.verdict(8, 0)
    assert measured.acceptance < 0.05
    for _ in range(200):
        measured = measured.verdict(8, 8)
    assert measured.acceptance > 0.95


@given(st.integers(0, 1000), st.integers(1, 40), st.integers(1, 300))
def test_a_spread_is_a_distribution_near_the_one_it_rounds(seed: int, most: int, vocabulary: int) -> None:
    weights = np.random.default_rng(seed).gamma(0.3, size=vocabulary) + 1e-12
    probabilities = weights / weights.sum()
    spread = rounded(probabilities, most)
    tokens, told = table(spread)
    assert len(tokens) <= min(most, vocabulary)
    assert told.sum() == pytest.approx(1.0)
    assert tokens[0] == int(np.argmax(probabilities))
    exact = probabilities[tokens] / probabilities[tokens].sum()
    assert np.abs(told - exact).max() < 1e-4
    assert rows([spread], [int(tokens[-1])], vocabulary)[0, tokens[0]] == told[0]


@pytest.mark.parametrize(
    ("spread", "token"),
    [
        (Spread(tokens=b"", weights=b""), 0),
        (Spread(tokens=b"\x01\0\0\0", weights=b"\x01"), 1),
        (Spread(tokens=b"\x01\0\0\0", weights=b"\0\0"), 1),
        (Spread(tokens=b"\x01\0\0\0" * 2, weights=b"\x01\0" * 2), 1),
        (Spread(tokens=b"\x01\0\0\0", weights=b"\x01\0"), 2),
        (Spread(tokens=b"\xff\0\0\0", weights=b"\x01\0"), 255),
    ],
)
def test_what_is_no_distribution_is_refused(spread: Spread, token: int) -> None:
    with pytest.raises(RequestUnserved):
        rows([spread], [token], 100)
