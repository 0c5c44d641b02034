"""Whose text stands: found from how often the member above would have said the same."""

from __future__ import annotations

import numpy as np
import pytest

from models.training.kin.standing import LEAST, Answer, confidence, fitted

VOCABULARY = 50


def answers(count: int, agrees: float, sure: float, seed: int = 0) -> list[Answer]:
    """Eight tokens each, the likeliest with this probability."""
    random = np.random.default_rng(seed)
    logits = np.zeros((8, VOCABULARY), np.float32)
    logits[:, 0] = np.log(sure / (1 - sure) * (VOCABULARY - 1))
    return [Answer(logits, random.random(8) < agrees) for _ in range(count)]


def test_the_confidence_is_the_mean_probability() -> None:
    [one] = answers(1, 1.0, 0.8)
    assert confidence(one, 1.0) == pytest.approx(0.8, abs=1e-6)
    assert confidence(one, 2.0) < 0.8


def test_the_temperature_makes_of_a_probability_how_often_it_is_right() -> None:
    found = fitted(answers(200, 0.7, 0.9))
    assert found.temperature > 1.2
    [one] = answers(1, 0.7, 0.9)
    assert confidence(one, found.temperature) == pytest.approx(0.7, abs=0.03)


def test_the_threshold_parts_who_agrees_from_who_does_not() -> None:
    good, bad = answers(60, 0.97, 0.9), answers(140, 0.4, 0.5)
    found = fitted([*good, *bad])
    assert confidence(bad[0], found.temperature) < found.threshold <= confidence(good[0], found.temperature)
    assert found.held_back == 200


def test_where_nobody_agrees_nothing_stands() -> None:
    assert fitted(answers(100, 0.5, 0.9)).threshold == 1
    # A handful that agree say nothing.
    assert fitted(answers(LEAST - 1, 1.0, 0.9)).threshold == 1
