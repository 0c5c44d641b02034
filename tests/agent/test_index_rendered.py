"""The index on the renderer's roads, against its truth: bounds that each weather must hold on a fixed seed."""

import pytest

from benchmarks import index
from benchmarks.index import SCENARIOS, judge, moments
from sim_devices.render.sequences import Act


@pytest.fixture(autouse=True)
def short_warm_up(monkeypatch):
    monkeypatch.setattr(index, "WARM_UP", (Act(15, 400, True), Act(15, 500, False), Act(15, 300, True)))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("weather", ["day", "fog", "night", "rain"])
def test_occupancy_follows_the_truth_in_every_weather(monkeypatch, weather):
    short = (Act(10, 500, True), Act(20, 900, False), Act(15, 500, True))
    monkeypatch.setitem(SCENARIOS, weather, (weather, short))
    found = judge(list(moments(weather, seed=2)))
    assert found["told_share"] == 1.0
    assert found["mae"] < 0.06
    assert found["r"] > 0.9
    assert found["coverage"] > 0.75


@pytest.mark.timeout(120)
def test_a_rendered_queue_that_stands_keeps_its_occupancy(monkeypatch):
    monkeypatch.setitem(SCENARIOS, "queue", ("day", (Act(25, 1300, False), Act(40, 0, False))))
    found = judge(list(moments("queue", seed=2)))
    assert found["queue_floor_ratio"] > 0.8
    assert found["queue_mae_m"] < 12
