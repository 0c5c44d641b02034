"""Thresholds are chosen for precision on what is held out."""

from __future__ import annotations

import numpy as np
import pytest

from models.training.detector.targets import hard
from models.training.detector.thresholds import (
    EMERGENCY_HIGHEST,
    HIGHEST,
    LOWEST,
    USUAL,
    VEHICLE_PRECISION,
    choose,
    judge,
)
from models.vision.detector import LABELS, Detection

CAR = (10.0, 10.0, 50.0, 40.0)
ELSEWHERE = (100.0, 100.0, 140.0, 130.0)
SHIFTED = (24.0, 10.0, 64.0, 40.0)
ALL = frozenset(LABELS)


def case(score: float, right: bool):
    return [Detection("car", score, CAR if right else ELSEWHERE)], hard(np.array([CAR], np.float32), ["car"])


def test_the_lowest_score_that_is_precise_enough_is_chosen() -> None:
    sure = [case(0.9 - 0.001 * number, True) for number in range(100)]
    wrong = [case(0.5 - 0.001 * number, False) for number in range(60)]
    weak = [case(0.3 - 0.001 * number, True) for number in range(20)]
    cases = sure + wrong + weak
    threshold = choose({ALL: cases})["car"]
    judged = judge(frozenset({"car"}), cases)
    above = judged.scores >= threshold
    assert judged.right[above].mean() >= VEHICLE_PRECISION
    assert 0.45 < threshold < 0.52


def test_bounds_hold_and_what_was_never_seen_has_the_usual_threshold() -> None:
    good = [case(0.9 - 0.005 * number, True) for number in range(100)]
    bad = [case(0.9 - 0.005 * number, False) for number in range(100)]
    assert choose({ALL: good})["car"] == pytest.approx(0.41, abs=0.01)
    assert choose({ALL: good + bad})["car"] == HIGHEST
    assert choose({ALL: []})["person"] == USUAL
    assert all(LOWEST <= one <= HIGHEST for one in choose({ALL: good}).values())


def test_a_van_that_is_a_truck_is_a_vehicle_and_no_ambulance() -> None:
    confused = [([Detection("truck", 0.9 - 0.005 * n, CAR)], case(0, True)[1]) for n in range(100)]
    chosen = choose({ALL: confused})
    assert chosen["truck"] == chosen["car"] < 0.42
    called = [([Detection("ambulance", 0.9 - 0.005 * n, CAR)], case(0, True)[1]) for n in range(100)]
    assert choose({ALL: called})["ambulance"] == EMERGENCY_HIGHEST


def test_an_object_is_found_once_and_doubts_are_no_mistakes() -> None:
    car = frozenset({"car"})
    targets = hard(np.array([CAR, ELSEWHERE], np.float32), ["car", "bus"])
    found = [Detection("car", 0.9, CAR), Detection("car", 0.8, SHIFTED), Detection("car", 0.7, ELSEWHERE)]
    judged = judge(car, [(found, targets)])
    assert judged.right.tolist() == [True, False, False]
    assert judged.objects == 1
    doubtful = targets.soften(np.array([False, True]))
    assert judge(car, [(found, doubtful)]).right.tolist() == [True, False]
    masked = hard(targets.boxes, ["car", "bus"])
    masked.known[1, LABELS.index("car")] = 0.0
    assert judge(car, [(found, masked)]).right.tolist() == [True, False]
    twice = [Detection("car", 0.9, CAR), Detection("truck", 0.8, CAR)]
    assert judge(frozenset({"car", "truck"}), [(twice, targets)]).right.tolist() == [True]


def test_one_of_a_group_that_has_one_box_is_not_judged() -> None:
    group = hard(np.array([(0.0, 0.0, 200.0, 60.0)], np.float32), ["car"])
    assert judge(frozenset({"car"}), [([Detection("car", 0.9, CAR)], group)]).right.tolist() == []
    assert judge(frozenset({"car"}), [([Detection("car", 0.9, ELSEWHERE)], group)]).right.tolist() == [False]
