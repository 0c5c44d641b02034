"""The index on drawn roads, against the renderer's truth: bounds that each weather must hold on a seed."""

import numpy as np
import pytest

from benchmarks.eval import index
from benchmarks.eval.index import calibration_of, judge, moments
from benchmarks.eval.simulated_detector import SimulatedDetector
from sim_devices.render.draw import draw
from sim_devices.render.sequences import Act, play

WARM_UP = (Act(30, 300, True), Act(15, 500, False), Act(15, 300, True))


@pytest.fixture(autouse=True)
def few_pictures(monkeypatch):
    monkeypatch.setattr(index, "FPS", 2.5)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("weather", ["day", "fog", "night", "rain"])
def test_occupancy_follows_the_truth_in_every_weather(weather):
    judged = (Act(10, 500, True), Act(20, 900, False), Act(15, 500, True))
    found = judge(weather, [2], list(moments(weather, 2, warm_up=WARM_UP, judged=judged)))
    assert found.told_share == 1.0
    assert found.mae < 0.06
    assert found.r > 0.9
    assert found.coverage > 0.75


@pytest.mark.timeout(120)
def test_a_rendered_queue_that_stands_keeps_its_occupancy():
    judged = (Act(25, 1300, False), Act(40, 0, False))
    found = judge("queue", [2], list(moments("queue", 2, warm_up=WARM_UP, judged=judged)))
    assert found.queue_floor_ratio > 0.8
    assert found.queue_mae_m < 12


@pytest.mark.timeout(120)
def test_tracks_and_edges_together_are_no_worse_than_edges():
    judged = (Act(10, 600, False), Act(15, 600, True))
    alone, both = (
        judge("day", [5], list(moments("day", 5, detector, warm_up=WARM_UP, judged=judged)))
        for detector in (None, SimulatedDetector("day", 5))
    )
    assert both.mae < alone.mae + 0.02


def test_a_simulated_detector_finds_the_same_again_and_less_in_fog():
    drawn = draw("day", 3)
    truth = drawn.scene().render(_some(drawn), 4.0).truth
    picture = np.zeros((360, 640, 3), np.uint8)

    def found(condition, seed):
        detector = SimulatedDetector(condition, seed)
        detector.truth = truth
        return detector.detect(picture)

    assert found("day", 1) == found("day", 1)
    assert sum(len(found("fog", seed)) for seed in range(60)) < sum(len(found("day", seed)) for seed in range(60))
    assert calibration_of(drawn).picture == (640, 360)


def _some(drawn):
    return list(play(drawn.road, "queue", 3, 1.0, drawn.mix))[50][1]
