"""Real roads. The clips are no part of the project: see CONTRIBUTING."""

import os
from pathlib import Path

import pytest

from agent.traffic.calibration import parse_points
from agent.watch import watch
from models.vision.opening import open_detector
from node.clock import SystemClock

ROOT = Path(__file__).parent.parent.parent
DATA = Path(os.environ.get("KINFLOW_DATA", ROOT.parent / "shared" / "data"))
CLIPS = DATA / "traffic" / "clips"

pytestmark = [pytest.mark.data, pytest.mark.timeout(180)]


def clip(name):
    path = CLIPS / name
    if not path.is_file():
        pytest.skip(f"{name} is not here")
    return path


class Counting:
    """A detector that remembers in how many pictures it found anything."""

    def __init__(self, inner):
        self.inner, self.found_in = inner, 0
        self.name, self.labels, self.thresholds = inner.name, inner.labels, inner.thresholds

    def detect(self, image):
        found = self.inner.detect(image)
        self.found_in += bool(found)
        return found


def reference():
    return Counting(open_detector(DATA / "weights" / "yolox_nano.onnx"))


def test_a_congested_junction_is_not_read_as_free_and_goes_with_a_references_boxes():
    points = parse_points("250,345,480,345,470,95,330,95")
    clock, judge = SystemClock(), reference()
    path = clip("beijing-data-ua_detrac.mp4")
    summary = watch(path, 10.5, 45.0, clock, points=points, detector=open_detector(), reference=judge)
    zones = [zone for zone in summary.zones if zone.counts]
    assert [zone.zone for zone in zones] == ["near"]
    assert all(zone.r >= 0.9 for zone in zones)
    told = summary.as_json()
    assert told["frames"] == 252
    assert told["told_share"] == 1.0
    assert 0.35 < told["mean_index"] < 0.9
    assert told["classes"]["free"] < 0.1


def test_a_car_park_exit_is_mostly_free_and_its_cars_are_seen():
    points = parse_points("150,425,620,425,560,20,210,20")
    judge = reference()
    summary = watch(clip("car-park-exit.mp4"), 7.0, 8.0, SystemClock(), points=points, reference=judge)
    told = summary.as_json()
    assert told["frames"] == 377
    assert told["classes"]["free"] > 0.6
    assert max(summary.indexes) > 0.4
    assert min(summary.indexes) < 0.05
    # The reference misses most of them from so high above, so that a correlation of 0.9 with it can't be asked for.
    assert judge.found_in < sum(one > 0.1 for one in summary.indexes) / 3
    zones = [zone for zone in summary.zones if zone.counts]
    assert [zone.zone for zone in zones] == ["middle", "far"]
    assert all(zone.r > 0.4 for zone in zones)


def test_without_corners_a_rectangle_is_proposed_and_the_result_is_marked():
    summary = watch(clip("beijing-data-ua_detrac.mp4"), 14.0, 60.0, SystemClock())
    assert summary.statuses["ok"] == 0
    assert summary.as_json()["mean_index"] > 0.1
