"""Quality, the empty road, publishing, footprints, and what is kept in files."""

import dataclasses
import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.camera.port import Frame
from agent.errors import (
    CameraFileUnreadable,
    CameraOptionsUneven,
    NoCamera,
    RoadPointsMalformed,
    RoadSizeInvalid,
)
from agent.options import CameraFlags, cameras_from_flags, cameras_from_settings, own_id
from agent.road_file import RoadFile
from agent.settings import CameraFile
from agent.traffic.calibration import calibrate
from agent.traffic.empty_road import EmptyRoad
from agent.traffic.footprint import fill, queue_length
from agent.traffic.pipeline import Pipeline, stalled
from agent.traffic.publishing import due
from agent.traffic.quality import QualityState, judge
from node.config.schema import Settings

POINTS = ((130.0, 300.0), (510.0, 300.0), (360.0, 100.0), (280.0, 100.0))
CALIBRATION = calibrate(POINTS, 10.5, 60.0, (640, 360))


def judged(pictures, step_ms=1000, state=None, calibrated=True):
    quality, now_ms = None, 0
    state = state or QualityState()
    for picture in pictures:
        state, quality = judge(state, picture, now_ms, calibrated)
        now_ms += step_ms
    return state, quality


def test_a_good_picture_is_good(drawn_road):
    road = drawn_road()
    _, quality = judged([road.draw() for _ in range(5)])
    assert (quality.score, quality.problems) == (1.0, ())


@pytest.mark.parametrize(
    ("problem", "spoil"),
    [
        ("dark", lambda image: (image * 0.15).astype(np.uint8)),
        ("bright", lambda image: np.clip(image.astype(int) * 4 + 60, 0, 255).astype(np.uint8)),
        ("blurred", lambda image: cv2.GaussianBlur(image, (0, 0), 5)),
    ],
)
def test_each_fault_of_a_picture_is_named(drawn_road, problem, spoil):
    road = drawn_road()
    state, _ = judged([road.draw() for _ in range(3)])
    state = dataclasses.replace(state, checked_ms=None, changed_ms=None)
    _, quality = judged([spoil(road.draw()) for _ in range(3)], state=state)
    assert problem in quality.problems
    assert quality.score < 0.7


def test_a_frozen_picture_is_told_from_a_quiet_road(drawn_road):
    road = drawn_road()
    picture = road.draw()
    _, frozen = judged([picture] * 6)
    _, quiet = judged([road.draw() for _ in range(6)])
    assert frozen.problems == ("frozen",)
    assert quiet.problems == ()


def test_a_camera_that_was_moved_is_noticed_and_wind_is_not(drawn_road):
    road = drawn_road()
    state, _ = judged([road.draw() for _ in range(5)])
    state = dataclasses.replace(state, checked_ms=None, changed_ms=None)
    _, wind = judged([road.draw(shift=((-1) ** n * 3, 2)) for n in range(15)], state=state)
    _, moved = judged([road.draw(shift=(40, 12)) for _ in range(15)], state=state)
    assert "moved" not in wind.problems
    assert "moved" in moved.problems
    assert moved.score < 0.2


@given(st.lists(st.floats(0, 63), min_size=4, max_size=12), st.integers(1, 60))
def test_the_empty_road_is_what_was_seen_longest(strengths, seconds):
    """Whatever passes in between: a cell's value is the one that it keeps returning to."""
    road = EmptyRoad.unknown(1, 1)
    for strength in strengths:
        road = road.seen(np.full((1, 1), strength, np.float32), 0.5)
        road = road.seen(np.full((1, 1), 5.0, np.float32), float(seconds))
    assert road.known().all()
    assert abs(float(road.strength()[0, 0]) - 5.0) < 4.0


@given(st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9]), min_size=1, max_size=120), st.integers(0, 119))
def test_a_queue_grows_with_what_stands_and_ends_where_it_ends(standing, place):
    near_m = np.arange(len(standing)) * 0.5
    length_m = queue_length(np.array(standing), near_m)
    assert 0.0 <= length_m <= near_m[-1] + 0.5
    more = list(standing)
    more[place % len(standing)] = 0.9
    assert queue_length(np.array(more), near_m) >= length_m


def test_a_queue_ends_at_a_gap_that_a_driver_would_close():
    near_m = np.arange(200) * 0.5
    standing = np.where((near_m < 4.5) | ((near_m >= 7) & (near_m < 11.5)) | (near_m >= 40), 0.5, 0.0)
    assert queue_length(standing, near_m) == 11.5


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 8))
def test_filling_closes_small_holes_only(edged, hole):
    edged = np.array(edged)
    covered = fill(edged, np.full(len(edged), hole))
    assert (covered >= edged).all()
    rows = np.flatnonzero(edged)
    if len(rows):
        assert not covered[: rows[0]].any()
        assert not covered[rows[-1] + 1 :].any()
        for a, b in itertools.pairwise(rows):
            assert covered[a : b + 1].all() == (b - a <= hole)


@pytest.fixture(scope="module")
def view(drawn_road):
    road = drawn_road()
    pipeline = Pipeline(calibrate(road.corners, road.width_m, road.length_m, road.size))
    for number in range(16):
        seen = pipeline.look(Frame(road.draw(), 0, number * 500, number))
    return seen


def test_an_observation_is_due_twice_a_second_and_when_something_changes(view):
    said = due(None, view, "unavailable", 0)
    assert said is not None
    assert due(said, view, "unavailable", 499) is None
    assert due(said, view, "unavailable", 500) is not None
    assert due(said, stalled(view), "unavailable", 10) is not None
    assert due(said, view, "present", 10) is not None
    other = "jam" if view.reading.congestion != "jam" else "free"
    changed = dataclasses.replace(view, reading=dataclasses.replace(view.reading, congestion=other))
    assert due(said, changed, "unavailable", 10) is not None


def test_a_stalled_camera_claims_nothing(view):
    gone = stalled(view)
    assert (gone.status, gone.quality.problems) == ("blind", ("stalled",))
    assert gone.reading.index.value is None
    assert (gone.reading.index.low, gone.reading.index.high) == (0.0, 1.0)
    assert gone.reading.congestion is None


def test_a_calibration_is_kept_and_read_again(tmp_path):
    file = CameraFile(tmp_path, "north")
    assert file.load() is None
    assert file.stamp() == 0
    file.save(CALIBRATION)
    assert file.load() == CALIBRATION
    assert file.stamp() != 0
    assert [path.name for path in file.path.parent.iterdir()] == ["north.toml"]


@pytest.mark.parametrize("text", ["", "points = 3", "\x00\xff", "points = [[1,2]]\npicture=[1,1]"])
def test_a_spoilt_camera_file_is_told(tmp_path, text):
    file = CameraFile(tmp_path, "north")
    file.path.parent.mkdir()
    file.path.write_text(text, "latin-1")
    with pytest.raises(CameraFileUnreadable):
        file.load()


def test_the_learnt_road_is_kept_for_its_own_calibration(tmp_path):
    road = EmptyRoad.unknown(3, 10).seen(np.full((3, 10), 7.0, np.float32), 30.0)
    file = RoadFile(tmp_path, "north")
    assert file.load(CALIBRATION) is None
    file.save(CALIBRATION, road)
    assert np.allclose(file.load(CALIBRATION).seconds, road.seconds, rtol=1e-2)
    assert file.load(calibrate(POINTS, 10.5, 50.0, (640, 360))) is None
    file.forget()
    assert file.load(CALIBRATION) is None


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_a_damaged_road_file_is_the_same_as_none(tmp_path, keep):
    file = RoadFile(tmp_path, "north")
    file.save(CALIBRATION, EmptyRoad.unknown(3, 10))
    path = tmp_path / "cameras" / "north.road.npz"
    path.write_bytes(path.read_bytes()[:keep])
    assert file.load(CALIBRATION) is None


def test_options_are_given_once_for_all_or_once_for_each():
    both = cameras_from_flags(CameraFlags(["a.mp4", "b/a.mp4"], widths_m=[7.0], lengths_m=[30.0, 60.0]))
    assert [(one.camera, one.approach) for one in both] == [("a", "a"), ("a-2", "a-2")]
    assert [(one.road_width_m, one.visible_length_m) for one in both] == [(7.0, 30.0), (7.0, 60.0)]
    with pytest.raises(CameraOptionsUneven):
        cameras_from_flags(CameraFlags(["a", "b", "c"], widths_m=[7.0, 8.0]))
    with pytest.raises(CameraOptionsUneven):
        cameras_from_flags(CameraFlags(["a", "b"], approaches=["north"]))
    with pytest.raises(RoadSizeInvalid):
        cameras_from_flags(CameraFlags(["a"], widths_m=[-3.0]))
    with pytest.raises(RoadPointsMalformed):
        cameras_from_flags(CameraFlags(["a"], roads=["1,2"]))


def test_settings_without_a_camera_are_refused_and_a_device_has_a_name():
    with pytest.raises(NoCamera):
        cameras_from_settings(Settings())
    assert own_id("pi-7") == "pi-7"
    assert own_id("").startswith("agent-")
