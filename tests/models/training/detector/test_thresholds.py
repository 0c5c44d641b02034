"""Thresholds are chosen for precision on what is held out."""

from __future__ import annotations

import numpy as np
import pytest

from models.training.detector.targets import hard
from models.training.detector.thresholds import HIGHEST, LOWEST, USUAL, choose, judge
from models.vision.detector import LABELS, Detection

CAR = (10.0, 10.0, 50.0, 40.0)
ELSEWHERE = (100.0, 100.0, 140.0, 130.0)


def case(score: float, right: bool):
    return [Detection("car", score, CAR if right else ELSEWHERE)], hard(np.array([CAR], np.float32), ["car"])


def test_the_lowest_score_that_is_precise_enough_is_chosen() -> None:
    sure = [case(0.9 - 0.001 * number, True) for number in range(100)]
    wrong = [case(0.5 - 0.001 * number, False) for number in range(60)]
    weak = [case(0.3 - 0.001 * number, True) for number in range(20)]
    threshold = choose([sure + wrong + weak])["car"]
    judged = judge("car", sure + wrong + weak)
    above = judged.scores >= threshold
    assert judged.right[above].mean() >= 0.88
    assert 0.45 < threshold < 0.52


def test_the_strictest_set_decides_and_bounds_hold() -> None:
    good = [case(0.9 - 0.005 * number, True) for number in range(100)]
    bad = [case(0.9 - 0.005 * number, False) for number in range(100)]
    assert choose([good])["car"] == pytest.approx(0.41, abs=0.01)
    assert choose([good, bad])["car"] == HIGHEST
    assert all(LOWEST <= one <= HIGHEST for one in choose([good]).values())
    assert choose([[]])["bus"] == USUAL


def test_an_object_is_found_once_and_doubts_are_no_mistakes() -> None:
    targets = hard(np.array([CAR, ELSEWHERE], np.float32), ["car", "bus"])
    twice = [Detection("car", 0.9, CAR), Detection("car", 0.8, CAR), Detection("car", 0.7, ELSEWHERE)]
    judged = judge("car", [(twice, targets)])
    assert judged.right.tolist() == [True, False, False]
    assert judged.objects == 1
    doubtful = targets.soften(np.array([False, True]))
    assert judge("car", [(twice, doubtful)]).right.tolist() == [True, False]
    masked = hard(targets.boxes, ["car", "bus"])
    masked.known[1, LABELS.index("car")] = 0.0
    assert judge("car", [(twice, masked)]).right.tolist() == [True, False]
