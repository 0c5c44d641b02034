"""Real roads. The clips are no part of the project: see CONTRIBUTING."""

import os
from pathlib import Path

import pytest

from agent.traffic.calibration import parse_points
from agent.watch import watch
from node.clock import SystemClock

ROOT = Path(__file__).parent.parent.parent
CLIPS = Path(os.environ.get("KINFLOW_DATA", ROOT.parent / "shared" / "data")) / "traffic" / "clips"

pytestmark = [pytest.mark.data, pytest.mark.timeout(90)]


def clip(name):
    path = CLIPS / name
    if not path.is_file():
        pytest.skip(f"{name} is not here")
    return path


def test_a_congested_junction_is_not_read_as_free():
    points = parse_points("250,345,480,345,470,95,330,95")
    summary = watch(clip("beijing-data-ua_detrac.mp4"), 10.5, 45.0, SystemClock(), points=points)
    told = summary.as_json()
    assert told["frames"] == 252
    assert told["told_share"] == 1.0
    assert 0.35 < told["mean_index"] < 0.9
    assert told["classes"]["free"] < 0.1


def test_a_car_park_exit_is_mostly_free_and_its_cars_are_seen():
    points = parse_points("150,425,620,425,560,20,210,20")
    summary = watch(clip("car-park-exit.mp4"), 7.0, 8.0, SystemClock(), points=points)
    told = summary.as_json()
    assert told["frames"] == 377
    assert told["classes"]["free"] > 0.6
    assert max(summary.indexes) > 0.4
    assert min(summary.indexes) < 0.05


def test_without_corners_a_rectangle_is_proposed_and_the_result_is_marked():
    summary = watch(clip("beijing-data-ua_detrac.mp4"), 14.0, 60.0, SystemClock())
    assert summary.statuses["ok"] == 0
    assert summary.as_json()["mean_index"] > 0.1
