"""The tracker, on boxes that move as they are told."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.traffic.calibration import Calibration, calibrate
from agent.traffic.on_road import OnRoad
from agent.traffic.track import Track
from agent.traffic.tracker import LOST_MS, Tracker, TrackerState
from models.vision.detector import LABELS, Detection, Label

PICTURE = (640, 360)
ROAD: Calibration = calibrate(((90.0, 350.0), (550.0, 350.0), (370.0, 110.0), (270.0, 110.0)), 7.0, 60.0, PICTURE)
Step = tuple[int, list[Detection] | None]

BOX = st.tuples(*(st.floats(-50, 700) for _ in range(4))).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)
DETECTION = st.builds(Detection, st.sampled_from(LABELS), st.floats(0, 1), BOX)
GARBAGE = st.builds(
    Detection,
    st.sampled_from(LABELS),
    st.floats() | st.sampled_from([math.nan, -1.0, 2.0]),
    st.tuples(*(st.floats() for _ in range(4))),
)
FILM = st.lists(
    st.tuples(st.integers(0, 900), st.none() | st.lists(DETECTION, max_size=6)),
    max_size=8,
)


def car(x: float, y: float, size: float = 40.0, score: float = 0.8, label: Label = "car") -> Detection:
    return Detection(label, score, (x - size / 2, y - size / 2, x + size / 2, y + size / 2))


def film(tracker: Tracker, steps: list[Step]) -> list[tuple[Track, ...]]:
    state, told = tracker.initial(), []
    for mono_ms, detections in steps:
        state, tracks = tracker.step(state, detections, mono_ms)
        told.append(tracks)
    return told


def at_times(gaps: list[tuple[int, list[Detection] | None]]) -> list[Step]:
    now_ms, steps = 0, []
    for gap_ms, detections in gaps:
        now_ms += gap_ms
        steps.append((now_ms, detections))
    return steps


@settings(max_examples=60, deadline=None)
@given(FILM)
def test_ids_are_unique_and_never_come_back(gaps: list[tuple[int, list[Detection] | None]]) -> None:
    tracker = Tracker(PICTURE, OnRoad(ROAD))
    state, newest, alive = tracker.initial(), 0, set[int]()
    for mono_ms, detections in at_times(gaps):
        state, tracks = tracker.step(state, detections, mono_ms)
        ids = [one.id for one in state.paths]
        assert len(ids) == len(set(ids))
        assert {one.id for one in tracks} <= set(ids)
        assert all(one > newest for one in set(ids) - alive)
        newest, alive = max([newest, *ids]), set(ids)


@settings(max_examples=60, deadline=None)
@given(FILM, st.randoms(use_true_random=False))
def test_the_order_of_detections_does_not_matter(gaps: list, random: object) -> None:
    shuffled = [
        (gap_ms, None if found is None else random.sample(found, len(found)))  # type: ignore[attr-defined]
        for gap_ms, found in gaps
    ]
    tracker = Tracker(PICTURE, OnRoad(ROAD))
    assert film(tracker, at_times(gaps)) == film(tracker, at_times(shuffled))


@settings(max_examples=40, deadline=None)
@given(FILM)
def test_every_track_was_found_and_tells_only_what_was_named(gaps: list) -> None:
    named = {one.label for _, found in gaps for one in found or ()}
    for tracks in film(Tracker(PICTURE, OnRoad(ROAD)), at_times(gaps)):
        for one in tracks:
            assert set(one.scores) <= named
            assert one.label in one.scores
            assert one.scores[one.label] == max(one.scores.values())
            assert one.hits >= 2
            assert one.first_ms <= one.last_ms
            assert one.seen_ms <= one.last_ms
            assert one.last_ms - one.seen_ms <= LOST_MS
            left, top, right, bottom = one.box
            assert 0 <= left <= right <= PICTURE[0]
            assert 0 <= top <= bottom <= PICTURE[1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(GARBAGE, max_size=5), min_size=2, max_size=5))
def test_garbage_breaks_nothing(frames: list[list[Detection]]) -> None:
    tracker = Tracker(PICTURE, OnRoad(ROAD))
    state = tracker.initial()
    for number, garbage in enumerate(frames):
        state, tracks = tracker.step(state, [*garbage, car(200 + number, 200)], 100 * number)
        for one in tracks:
            assert all(map(math.isfinite, (*one.box, *(one.ground or ()), *(one.velocity_mps or ()))))


def test_without_detections_there_is_no_track() -> None:
    assert not any(film(Tracker(PICTURE), [(100 * n, []) for n in range(20)]))
    assert not any(film(Tracker(PICTURE), [(100 * n, None) for n in range(20)]))


def test_one_sight_makes_no_track_and_doubtful_ones_never_do() -> None:
    assert not any(film(Tracker(PICTURE), [(0, [car(100, 100)]), (100, []), (200, [])]))
    assert not any(film(Tracker(PICTURE), [(100 * n, [car(100, 100, score=0.3)]) for n in range(10)]))


def test_doubtful_sights_keep_a_track_alive() -> None:
    steps: list[Step] = [(100 * n, [car(100, 100, score=0.8 if n < 3 else 0.2)]) for n in range(60)]
    told = film(Tracker(PICTURE), steps)
    assert [one.id for one in told[-1]] == [1]
    assert told[-1][0].hits == 60


@pytest.mark.parametrize("hidden_ms", [300, 1000, 1500])
def test_an_occlusion_keeps_the_id(hidden_ms: int) -> None:
    steps: list[Step] = []
    for now_ms in range(0, 5000, 100):
        hidden = 2000 <= now_ms < 2000 + hidden_ms
        steps.append((now_ms, [] if hidden else [car(60 + 0.08 * now_ms, 200)]))
    told = film(Tracker(PICTURE), steps)
    assert {one.id for tracks in told for one in tracks} == {1}
    assert told[20][0].seen_ms < told[20][0].last_ms  # it is told as predicted, where it should be
    assert abs(sum(told[20][0].box[::2]) / 2 - (60 + 0.08 * 2000)) < 8


def test_a_thing_that_comes_back_too_late_is_a_new_one() -> None:
    seen: list[Step] = [(n * 100, [car(100, 100)]) for n in range(5)]
    later: list[Step] = [(400 + LOST_MS + 100 + n * 100, [car(100, 100)]) for n in range(5)]
    assert [one.id for one in film(Tracker(PICTURE), seen + later)[-1]] == [2]


def test_two_that_cross_keep_their_ids() -> None:
    steps: list[Step] = [
        (now_ms, [car(60 + 0.1 * now_ms, 200), car(560 - 0.1 * now_ms, 212)]) for now_ms in range(0, 4600, 100)
    ]
    first, *_, last = [tracks for tracks in film(Tracker(PICTURE), steps) if tracks]
    assert {one.id: one.box[0] < 300 for one in first} == {one.id: one.box[0] >= 300 for one in last}
    assert len(last) == 2


@pytest.mark.parametrize("every", [2, 3, 5])
def test_skipped_pictures_are_bridged(every: int) -> None:
    """At 25 pictures a second with a detector on each n-th one."""
    steps: list[Step] = [(40 * n, [car(40 + 4 * n, 200)] if n % every == 0 else None) for n in range(100)]
    told = film(Tracker(PICTURE), steps)
    assert {one.id for tracks in told for one in tracks} == {1}
    middle = sum(told[-1][0].box[::2]) / 2
    assert abs(middle - (40 + 4 * 99)) < 6


def test_what_leaves_the_picture_ends() -> None:
    steps: list[Step] = [(40 * n, [car(420 + 10 * n, 200)]) for n in range(22)]
    steps += [(880 + 40 * n, []) for n in range(12)]
    assert film(Tracker(PICTURE), steps)[-1] == ()


def test_one_thing_seen_as_two_classes_is_one_track_of_the_surer() -> None:
    steps: list[Step] = [
        (100 * n, [car(200, 200, label="car", score=0.5), car(201, 200, label="ambulance", score=0.7)])
        for n in range(5)
    ]
    (track,) = film(Tracker(PICTURE), steps)[-1]
    assert track.label == "ambulance"
    assert track.scores == pytest.approx({"ambulance": 0.7, "car": 0.5})


def test_a_class_counts_by_its_mean_over_the_life_of_the_track() -> None:
    labels: list[Label] = ["car", "truck", "truck", "car", "truck", "truck"]
    steps: list[Step] = [(100 * n, [car(200, 200, label=label)]) for n, label in enumerate(labels)]
    (track,) = film(Tracker(PICTURE), steps)[-1]
    assert track.label == "truck"
    assert track.scores == pytest.approx({"truck": 0.8 * 4 / 6, "car": 0.8 * 2 / 6})


def test_a_person_is_no_vehicle() -> None:
    steps: list[Step] = [
        (100 * n, [car(200, 200, label="person"), car(200, 202, label="motorcycle")]) for n in range(4)
    ]
    assert sorted(one.label for one in film(Tracker(PICTURE), steps)[-1]) == ["motorcycle", "person"]


@pytest.mark.parametrize("label", ["car", "truck", "motorcycle"])
@pytest.mark.parametrize("x_m", [1.5, 5.5])
def test_ground_and_speed_are_the_roads(label: Label, x_m: float) -> None:
    """A vehicle's box goes in as the camera would see it; its place and speed in metres come out."""
    road = OnRoad(ROAD)
    steps: list[Step] = []
    for n in range(30):
        box = road.box(x_m, 50 - 10.0 * n / 10, label)
        assert box is not None
        steps.append((100 * n, [Detection(label, 0.8, box)]))
    (track,) = film(Tracker(PICTURE, road), steps)[-1]
    assert track.ground == pytest.approx((x_m, 50 - 29), abs=0.6)
    assert track.velocity_mps == pytest.approx((0, -10.0), abs=0.5)


def test_nothing_is_said_of_the_ground_without_a_road_or_above_the_horizon() -> None:
    steps: list[Step] = [(100 * n, [car(320, 30)]) for n in range(4)]
    for tracker in (Tracker(PICTURE), Tracker(PICTURE, OnRoad(ROAD))):
        (track,) = film(tracker, steps)[-1]
        assert track.ground is None
        assert track.velocity_mps is None


def test_time_that_stands_still_or_runs_back_is_borne() -> None:
    steps: list[Step] = [(now_ms, [car(200, 200)]) for now_ms in (500, 500, 400, 600)]
    assert [one.id for one in film(Tracker(PICTURE, OnRoad(ROAD)), steps)[-1]] == [1]


def test_a_state_can_be_kept_and_used_again() -> None:
    tracker = Tracker(PICTURE)
    state, _ = tracker.step(tracker.initial(), [car(200, 200)], 0)
    assert tracker.step(state, [car(202, 200)], 100) == tracker.step(state, [car(202, 200)], 100)
    assert tracker.initial() == TrackerState()
