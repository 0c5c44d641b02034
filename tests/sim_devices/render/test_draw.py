"""Scenes drawn by a seed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim_devices.render import draw as ranges
from sim_devices.render.draw import CONDITIONS, draw


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 100_000), condition=st.sampled_from(CONDITIONS))
def test_a_drawn_scene_lies_within_its_ranges_and_shows_the_whole_rectangle(seed, condition):
    drawn = draw(condition, seed)
    assert draw(condition, seed) == drawn
    road, camera = drawn.road, drawn.camera
    assert ranges.LANES[0] <= len(road.lane_widths_m) <= ranges.LANES[1]
    assert ranges.LENGTH_M[0] <= road.visible_length_m <= ranges.LENGTH_M[1]
    assert ranges.HEIGHT_M[0] <= camera.height_m <= ranges.HEIGHT_M[1]
    corners = camera.corners(road)
    assert (corners >= 0).all()
    assert (corners <= (camera.width_px, camera.height_px)).all()
    assert sum(share for _, share in drawn.mix) == pytest.approx(1.0)
    assert drawn.weather.night == (condition == "night")
    assert (drawn.weather.rain > 0) == (condition == "rain")


def test_the_same_seed_is_the_same_road_in_every_weather_and_another_seed_is_another():
    of_three = [draw(condition, 3) for condition in CONDITIONS]
    assert len({one.road for one in of_three}) == len({one.camera for one in of_three}) == 1
    assert len({draw("day", seed).camera for seed in range(5)}) == 5
