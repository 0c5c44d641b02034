import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent.errors import (
    RoadPointsCollinear,
    RoadPointsCrossed,
    RoadPointsMalformed,
    RoadPointsOutside,
    RoadSizeInvalid,
)
from agent.traffic.calibration import calibrate, parse_points, propose

PICTURE = (640, 360)
POINTS = ((130.0, 300.0), (510.0, 300.0), (360.0, 100.0), (280.0, 100.0))


def test_corners_are_the_roads_corners():
    road = calibrate(POINTS, 10.5, 60.0, PICTURE).to_road(np.array(POINTS))
    assert road == pytest.approx(np.array([[0, 0], [10.5, 0], [10.5, 60], [0, 60]]), abs=1e-6)


@given(x=st.floats(0, 10.5), y=st.floats(0, 60))
def test_road_to_picture_and_back_is_the_same_point(x, y):
    calibration = calibrate(POINTS, 10.5, 60.0, PICTURE)
    there = calibration.to_picture(np.array([[x, y]]))
    assert calibration.to_road(there)[0] == pytest.approx([x, y], abs=1e-6)


@settings(deadline=None)
@given(height_m=st.floats(4, 15), aside_m=st.floats(-8, 8), distance_m=st.floats(13, 30))
def test_viewpoint_is_where_the_camera_hangs(drawn_road, height_m, aside_m, distance_m):
    road = drawn_road(height_m=height_m, aside_m=aside_m, distance_m=distance_m, size=(2560, 1440))
    corners = road.corners
    assume(all(0 <= x <= 2560 and 0 <= y <= 1440 for x, y in corners))
    view = calibrate(corners, road.width_m, road.length_m, (2560, 1440)).viewpoint
    assert view.height_m == pytest.approx(height_m, rel=0.01)
    assert view.y_m == pytest.approx(-distance_m, rel=0.01)
    assert view.x_m == pytest.approx(road.width_m / 2 + aside_m, abs=0.1)


def test_a_sub_stream_keeps_the_calibration():
    whole = calibrate(POINTS, 10.5, 60.0, PICTURE)
    half = whole.scaled((320, 180))
    at = np.array([[3.0, 20.0]])
    assert half.to_picture(at) == pytest.approx(whole.to_picture(at) / 2)
    assert half.viewpoint.height_m == pytest.approx(whole.viewpoint.height_m)


@pytest.mark.parametrize(
    "points",
    [
        ((0, 0), (10, 10), (20, 20), (30, 30)),
        ((10, 300), (300, 300), (600, 300), (300, 100)),
        ((10, 300), (10, 300), (600, 300), (300, 100)),
    ],
)
def test_collinear_points_are_refused(points):
    with pytest.raises(RoadPointsCollinear):
        calibrate(points, 10.0, 50.0, PICTURE)


@pytest.mark.parametrize(
    "order",
    [(0, 2, 1, 3), (1, 0, 3, 2), (0, 3, 2, 1)],
    ids=["crossing", "mirrored", "backwards"],
)
def test_points_in_another_order_are_refused(order):
    points = tuple(POINTS[i] for i in order)
    with pytest.raises(RoadPointsCrossed):
        calibrate(points, 10.0, 50.0, PICTURE)


def test_points_outside_of_the_picture_are_refused():
    with pytest.raises(RoadPointsOutside):
        calibrate(((130.0, 400.0), *POINTS[1:]), 10.0, 50.0, PICTURE)


@pytest.mark.parametrize(
    "size", [(-1.0, 50.0), (0.0, 50.0), (10.0, -5.0), (math.nan, 50.0), (10.0, math.inf), (10.0, 1e9)]
)
def test_sizes_that_no_road_has_are_refused(size):
    with pytest.raises(RoadSizeInvalid):
        calibrate(POINTS, *size, PICTURE)


@pytest.mark.parametrize("text", ["", "1,2,3", "a,b,c,d,e,f,g,h", "1,2,3,4,5,6,7,nan", "1,2,3,4,5,6,7,8,9"])
def test_anything_but_eight_numbers_is_refused(text):
    with pytest.raises(RoadPointsMalformed):
        parse_points(text)


def test_a_proposal_is_valid_and_marked():
    for picture in ((640, 360), (768, 432), (800, 600), (1080, 1920)):
        proposal = propose(7.0, 40.0, picture)
        assert not proposal.calibrated
        assert calibrate(proposal.points, 7.0, 40.0, picture).lanes == 2
