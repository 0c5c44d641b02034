"""How a token is chosen: pure, so no engine is needed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.engine.sampling import Sampler, Sampling, filtered
from models.errors import SamplingInvalid

logits_of = arrays(np.float32, st.integers(2, 40), elements=st.floats(-20, 20, width=32))
filters = st.builds(
    Sampling,
    temperature=st.floats(0.05, 5),
    top_k=st.integers(0, 50),
    top_p=st.floats(0.01, 1),
    min_p=st.floats(0, 1),
)


@given(logits=logits_of, sampling=filters)
def test_filters_leave_a_distribution_with_the_best_token_in_it(logits: np.ndarray, sampling: Sampling) -> None:
    probabilities = filtered(logits, sampling)
    assert math.isclose(probabilities.sum(), 1, rel_tol=1e-9)
    assert probabilities[np.argmax(logits)] > 0
    assert probabilities[np.argmax(logits)] == probabilities.max()
    if sampling.top_k:
        assert np.count_nonzero(probabilities) <= sampling.top_k
    if sampling.min_p:
        kept = probabilities[probabilities > 0]
        assert kept.min() >= sampling.min_p * kept.max() * (1 - 1e-9)


@given(logits=logits_of, temperature=st.floats(0.05, 5), p=st.floats(0.05, 0.99))
def test_top_p_is_the_smallest_set_that_reaches_p(logits: np.ndarray, temperature: float, p: float) -> None:
    every = filtered(logits, Sampling(temperature=temperature))
    kept = filtered(logits, Sampling(temperature=temperature, top_p=p)) > 0
    mass = every[kept].sum()
    assert mass >= p - 1e-9
    assert mass - every[kept].min() < p + 1e-9


def test_temperature_nought_takes_the_best() -> None:
    logits = np.array([0.0, 3.0, 2.9], np.float32)
    assert Sampler(Sampling()).choose(logits).token == 1
    assert Sampler(Sampling(bias={1: -1.0})).choose(logits).token == 2
    assert list(Sampler(Sampling()).probabilities(logits)) == [0, 1, 0]


def test_a_seed_gives_the_same_answer_again_and_another_one_another() -> None:
    logits = np.zeros(1000, np.float32)

    def drawn(seed: int) -> list[int]:
        sampler = Sampler(Sampling(temperature=1, seed=seed))
        return [sampler.choose(logits).token for _ in range(8)]

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)


def test_draws_follow_the_distribution() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    sampler = Sampler(Sampling(temperature=1, seed=1))
    counts = np.bincount([sampler.choose(logits).token for _ in range(4000)], minlength=4)
    expected = 4000 * np.array([0.5, 0.3, 0.15, 0.05])
    # Chi-square with three degrees of freedom stays below 16.3 in 999 of 1,000 cases; the seed makes it one case.
    assert ((counts - expected) ** 2 / expected).sum() < 16.3


def test_a_forbidden_token_never_comes() -> None:
    logits = np.array([5.0, 0.0, -1.0], np.float32)
    sampler = Sampler(Sampling(temperature=2, seed=0, bias={0: -math.inf}))
    assert 0 not in {sampler.choose(logits).token for _ in range(300)}
    with pytest.raises(SamplingInvalid, match="every token"):
        Sampler(Sampling(bias=dict.fromkeys(range(3), -math.inf))).choose(logits)
    with pytest.raises(SamplingInvalid, match="every token"):
        Sampler(Sampling(temperature=1, bias=dict.fromkeys(range(3), -math.inf))).choose(logits)


@given(logits=logits_of, count=st.integers(0, 20))
def test_logprobs_are_the_models_own(logits: np.ndarray, count: int) -> None:
    choice = Sampler(Sampling(temperature=0.1, top_k=1, bias={0: 3.0}, logprobs=count)).choose(logits)
    spread = logits.astype(np.float64)
    expected = spread - np.log(np.exp(spread).sum())
    assert choice.logprob is not None
    assert math.isclose(choice.logprob, expected[choice.token], abs_tol=1e-6)
    values = [value for _, value in choice.top]
    assert len(values) == min(count, len(logits))
    assert values == sorted(values, reverse=True)
    assert np.allclose(values, np.sort(expected)[::-1][: len(values)])


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"temperature": math.nan},
        {"top_p": 0},
        {"top_p": 1.1},
        {"min_p": -0.1},
        {"top_k": -1},
        {"max_tokens": 0},
        {"logprobs": 21},
        {"seed": -1},
        {"stop": ("",)},
        {"stop": tuple("abcdefghijklmnopq")},
        {"bias": {1: math.nan}},
        {"bias": {1: math.inf}},
    ],
)
def test_settings_without_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SamplingInvalid):
        Sampling(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("token", [3, -1])
def test_a_bias_for_a_token_that_is_none_is_refused(token: int) -> None:
    with pytest.raises(SamplingInvalid, match="outside"):
        Sampler(Sampling(bias={token: 1.0})).choose(np.zeros(3, np.float32))
