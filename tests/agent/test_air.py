"""What the picture tells of air, light and wind: haze, weather, shake."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.camera.port import Frame
from agent.traffic.birds_eye import BirdsEye
from agent.traffic.calibration import propose
from agent.traffic.haze import SMALL, THICKEST_PER_M, extinction, followed
from agent.traffic.pipeline import Pipeline
from agent.traffic.steady import SteadyState, steady
from agent.traffic.weather import WEATHER_CLASSES, glance, probabilities, statistics
from benchmarks.eval.index import calibration_of
from sim_devices.render.draw import draw


@pytest.fixture(scope="module")
def empty_roads():
    """An empty road in each condition, two pictures each."""
    drawn = {condition: draw(condition, 12) for condition in ("day", "fog", "night", "rain")}
    scenes = {condition: one.scene() for condition, one in drawn.items()}
    return {
        condition: (drawn[condition], [scene.render([], t_s, boxes=False).frame for t_s in (0.0, 1.0)])
        for condition, scene in scenes.items()
    }


def small(image):
    return cv2.resize(image, SMALL, interpolation=cv2.INTER_AREA)


def haze_of(drawn, image):
    return extinction(small(image), BirdsEye(calibration_of(drawn)).air_samples())


def test_fog_is_measured_from_how_the_road_fades(empty_roads):
    drawn, (image, _) = empty_roads["fog"]
    assert haze_of(drawn, image) == pytest.approx(drawn.weather.fog_per_m, rel=0.5)
    for clear in ("day", "night"):
        assert haze_of(empty_roads[clear][0], empty_roads[clear][1][0]) < 0.5 * drawn.weather.fog_per_m


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_haze_stays_in_its_range_whatever_the_picture(seed, flat):
    random = np.random.default_rng(seed)
    level = int(random.integers(256))
    image = (
        np.full((*SMALL[::-1], 3), level, np.uint8) if flat else random.integers(0, 256, (90, 160, 3)).astype(np.uint8)
    )
    samples = BirdsEye(calibration_of(draw("day", 12))).air_samples()
    assert 0.0 <= extinction(image, samples) <= THICKEST_PER_M


def test_haze_is_followed_slowly():
    assert followed(None, 0.02, 0.0) == 0.02
    assert 0.0 < followed(0.0, 0.02, 1.0) < 0.005
    assert followed(0.0, 0.02, 600.0) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [("day", {"clear", "haze"}), ("fog", {"fog", "haze"}), ("night", {"night"}), ("rain", {"rain"})],
)
def test_the_weather_is_told_from_the_picture(empty_roads, condition, expected):
    drawn, (before, now) = empty_roads[condition]
    shares = probabilities(statistics(small(now), haze_of(drawn, now), glance(before), glance(now)))
    assert shares.sum() == pytest.approx(1.0)
    assert WEATHER_CLASSES[int(shares.argmax())] in expected


def test_glare_is_told_from_the_picture(empty_roads):
    drawn, pair = empty_roads["day"]
    y, x = np.mgrid[:360, :640]
    bloom = 260 * np.exp(-((x - 320) ** 2 + (y - 60) ** 2) / (2 * 250**2))[..., None]
    before, now = (np.clip(one + bloom, 0, 255).astype(np.uint8) for one in pair)
    shares = probabilities(statistics(small(now), haze_of(drawn, now), glance(before), glance(now)))
    assert WEATHER_CLASSES[int(shares.argmax())] == "glare"


@settings(max_examples=25, deadline=None)
@given(dx=st.floats(-3, 3), dy=st.floats(-3, 3))
def test_a_picture_that_wind_has_moved_is_found_where_it_is(drawn_road, dx, dy):
    road = drawn_road()
    still, moved = (cv2.cvtColor(small(road.draw(shift=shift)), cv2.COLOR_BGR2GRAY) for shift in ((0, 0), (dx, dy)))
    state, first = steady(SteadyState(), still, 0, road.size)
    _, shift = steady(state, moved, 200, road.size)
    assert first == (0.0, 0.0)
    assert shift == pytest.approx((dx, dy), abs=1.0)


def test_a_picture_without_structure_has_no_place():
    grey = np.full(SMALL[::-1], 120, np.uint8)
    state, _ = steady(SteadyState(), grey, 0, (640, 360))
    assert steady(state, grey, 200, (640, 360))[1] == (0.0, 0.0)


@pytest.mark.parametrize("size", [(640, 360), (641, 359), (33, 21)])
@pytest.mark.parametrize("level", [0, 255, 100])
def test_flat_pictures_of_any_size_give_figures_without_a_fault(size, level):
    pipeline = Pipeline(propose(7.0, 40.0, size))
    for number in range(30):
        image = np.full((size[1], size[0], 3), level, np.uint8)
        image[number % size[1], 0] ^= 1  # a picture that never changes is called frozen
        view = pipeline.look(Frame(image, 0, number * 500, number))
        for estimate in (view.reading.occupancy, view.reading.index):
            assert 0.0 <= estimate.low <= estimate.high <= 1.0
            assert estimate.value is None or estimate.low <= estimate.value <= estimate.high
        assert np.isfinite(view.reading.rows).all()
        if view.quality.weather is not None:
            assert sum(view.quality.weather.values()) == pytest.approx(1.0, abs=0.05)
