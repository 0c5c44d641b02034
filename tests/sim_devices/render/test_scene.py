"""The renderer: what it shows, and the truth that it tells with it."""

from __future__ import annotations

from itertools import pairwise
from math import pi, sqrt

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim_devices.render.beacons import Lights
from sim_devices.render.camera import Camera, mount
from sim_devices.render.road import Road
from sim_devices.render.scene import Scene
from sim_devices.render.sequences import SCRIPTS, play
from sim_devices.render.truth import clipped_area_m2, measure
from sim_devices.render.vehicle import KINDS, RoadVehicle, beacon_hz, vehicle_of_kind
from sim_devices.render.weather import DAY, FOG, NIGHT, OVERCAST, RAIN, SNOW, WEATHERS, Weather

ROAD = Road(arrows=("sr", "s", "l"))
CORNERS = ((0.0, 0.0),) * 4


@pytest.fixture(scope="module")
def camera() -> Camera:
    return mount(ROAD, seed=5)


@pytest.fixture(scope="module")
def small() -> Camera:
    """A quarter of the pixels, where they don't matter."""
    return mount(ROAD, seed=5, width_px=320, height_px=180)


@pytest.fixture(scope="module")
def day(camera: Camera) -> Scene:
    return Scene(camera, ROAD, DAY, seed=5)


def some_traffic() -> list[RoadVehicle]:
    return [
        vehicle_of_kind(kind, kind, ROAD.lane_centre_m(place % 3), 4.0 + 14.0 * (place // 3), beacons=True)
        for place, kind in enumerate(KINDS)
    ]


# -- determinism


@pytest.mark.parametrize("weather", WEATHERS.values(), ids=WEATHERS)
def test_the_same_seed_gives_the_same_bytes_in_any_order(small: Camera, weather: Weather) -> None:
    first, second = Scene(small, ROAD, weather, seed=5), Scene(small, ROAD, weather, seed=5)
    traffic = some_traffic()
    early, late = first.render(traffic, 1.0), first.render([], 7.4)
    assert np.array_equal(second.render([], 7.4).frame, late.frame)
    again = second.render(traffic, 1.0)
    assert np.array_equal(again.frame, early.frame)
    assert again.truth == early.truth
    assert not np.array_equal(Scene(small, ROAD, weather, seed=6).render(traffic, 1.0).frame, early.frame)


def test_cameras_follow_from_their_seed() -> None:
    assert mount(ROAD, seed=1) == mount(ROAD, seed=1)
    assert mount(ROAD, seed=1) != mount(ROAD, seed=2)


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripted_traffic_follows_from_its_seed(script: str) -> None:
    assert list(play(ROAD, script, seed=3)) == list(play(ROAD, script, seed=3))
    if script != "empty":
        assert list(play(ROAD, script, seed=3)) != list(play(ROAD, script, seed=4))


# -- geometry


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), lanes=st.integers(1, 4), length=st.floats(30, 90))
def test_every_camera_has_the_whole_rectangle_in_view(seed: int, lanes: int, length: float) -> None:
    road = Road(lane_widths_m=(3.3,) * lanes, visible_length_m=length)
    camera = mount(road, seed)
    near_left, near_right, far_right, far_left = camera.corners(road)
    for x, y in (near_left, near_right, far_right, far_left):
        assert 0 < x < camera.width_px
        assert 0 < y < camera.height_px
    assert near_left[0] < near_right[0]
    assert far_left[0] < far_right[0]
    assert min(near_left[1], near_right[1]) > max(far_left[1], far_right[1])


@given(x=st.floats(-10, 25), y=st.floats(0, 120), seed=st.integers(0, 50))
def test_a_point_of_the_road_comes_back_from_its_pixel(x: float, y: float, seed: int) -> None:
    camera = mount(ROAD, seed)
    pixel, depth = camera.project(np.array([x, y, 0.0]))
    assert depth > 0
    assert camera.ground(pixel) == pytest.approx((x, y), abs=1e-6)


def test_the_corners_give_a_homography_that_places_the_lanes(camera: Camera) -> None:
    """What an agent's calibration does with the four corners agrees with the projection everywhere else."""
    width, length = ROAD.width_m, ROAD.visible_length_m
    flat = np.array([[0, 0], [width, 0], [width, length], [0, length]], np.float32)
    homography = cv2.getPerspectiveTransform(camera.corners(ROAD).astype(np.float32), flat)
    for x, y in ((1.65, 5.0), (5.0, 30.0), (9.0, 55.0)):
        pixel, _ = camera.project(np.array([x, y, 0.0]))
        found = cv2.perspectiveTransform(pixel.reshape(1, 1, 2).astype(np.float32), homography)[0, 0]
        assert found == pytest.approx((x, y), abs=0.05)


# -- truth


def test_occupancy_is_footprint_area_over_the_rectangle() -> None:
    car = RoadVehicle("a", "car", ROAD.lane_centre_m(0), 10.0, length_m=4.0, width_m=2.0)
    truth = measure(ROAD, [car], 0.0, CORNERS)
    assert truth.occupancy == pytest.approx(8.0 / (9.9 * 60.0))
    assert truth.lane_occupancy == pytest.approx((8.0 / (3.3 * 60.0), 0.0, 0.0))
    assert truth.count == 1


def test_what_hangs_over_the_stop_line_or_the_next_lane_counts_by_its_share() -> None:
    over_line = RoadVehicle("a", "car", ROAD.lane_centre_m(0), -1.0, length_m=4.0, width_m=2.0)
    assert measure(ROAD, [over_line], 0.0, CORNERS).occupancy == pytest.approx(6.0 / ROAD.area_m2)
    between = RoadVehicle("b", "car", 3.3, 10.0, length_m=4.0, width_m=2.0)
    assert measure(ROAD, [between], 0.0, CORNERS).lane_occupancy[:2] == pytest.approx((4 / 198, 4 / 198))
    beside = RoadVehicle("c", "car", ROAD.width_m + 2.0, 10.0, length_m=4.0, width_m=2.0, heading_rad=pi)
    assert measure(ROAD, [beside], 0.0, CORNERS).occupancy == 0.0


@given(angle=st.floats(-pi, pi), x=st.floats(3, 7), y=st.floats(8, 50))
def test_turning_a_vehicle_inside_the_rectangle_keeps_its_area(angle: float, x: float, y: float) -> None:
    car = RoadVehicle("a", "car", x, y, heading_rad=angle, length_m=2.0, width_m=1.0)
    assert measure(ROAD, [car], 0.0, CORNERS).occupancy * ROAD.area_m2 == pytest.approx(2.0)


def test_a_diamond_is_clipped_to_the_triangle_that_it_leaves() -> None:
    diamond = [(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]
    assert clipped_area_m2(diamond, (0.0, -5.0), (5.0, 5.0)) == pytest.approx(1.0)
    assert clipped_area_m2(diamond, (0.5, -5.0), (5.0, 5.0)) == pytest.approx(0.25)
    assert clipped_area_m2(diamond, (2.0, 2.0), (5.0, 5.0)) == 0.0
    assert sqrt(clipped_area_m2(diamond, (-5.0, -5.0), (5.0, 5.0))) == pytest.approx(sqrt(2.0))


def test_a_queue_ends_where_its_chain_breaks() -> None:
    lane = ROAD.lane_centre_m(1)
    standing = [vehicle_of_kind(str(y), "car", lane, y) for y in (2.0, 9.0, 16.0, 50.0)]
    rolling = vehicle_of_kind("r", "car", lane, 24.0, speed_mps=8.0)
    truth = measure(ROAD, [*standing, rolling], 0.0, CORNERS)
    assert truth.lane_queue_m == pytest.approx((0.0, 20.5, 0.0))
    assert truth.queue_m == pytest.approx(20.5)
    assert truth.speed_mps == pytest.approx(8.0 / 5)


# -- pictures


def test_a_vehicle_changes_the_picture_inside_its_box_and_shadow_alone(camera: Camera) -> None:
    still = Scene(camera, ROAD, WEATHERS["overcast"].shaken(0.0), seed=5)
    bus = vehicle_of_kind("bus-1", "bus", ROAD.lane_centre_m(1), 20.0)
    rendered = still.render([bus], 3.0)
    changed = np.abs(rendered.frame.astype(int) - still.render([], 3.0).frame.astype(int)).max(axis=2) > 12
    (found,) = rendered.truth.boxes
    left, top, right, bottom = found.box
    assert changed[top:bottom, left:right].mean() > 0.5
    changed[max(0, top - 3) : bottom + 10, max(0, left - 6) : right + 6] = False
    assert changed.sum() == 0


def test_boxes_tell_visible_pixels_and_leave_out_what_is_hidden(day: Scene) -> None:
    lorry = vehicle_of_kind("truck-1", "truck", ROAD.lane_centre_m(1), 8.0)
    motorcycle = vehicle_of_kind("motorcycle-1", "motorcycle", ROAD.lane_centre_m(1), 17.5)
    both = day.render([motorcycle, lorry], 0.0).truth.boxes
    alone = day.render([motorcycle], 0.0).truth.boxes
    hidden = sum(one.visible_px for one in both if one.id == "motorcycle-1")
    assert alone[0].visible_px > 0
    assert hidden < alone[0].visible_px
    assert any(one.kind == "truck" for one in both)


def contrast(frame: np.ndarray) -> float:
    return float(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)[20:70].std())


def test_fog_takes_contrast_away_the_more_the_thicker_it_is(small: Camera) -> None:
    traffic = some_traffic()
    thickness = (0.0, 0.01, 0.03, 0.06, 0.12)
    contrasts = []
    for beta in thickness:
        weather = Weather("fog", ambient=0.86, sun=0.0, fog_per_m=beta, airlight=188.0, noise=0.0, shake_px=0.0)
        contrasts.append(contrast(Scene(small, ROAD, weather, seed=5).render(traffic, 0.0).frame))
    assert contrasts == sorted(contrasts, reverse=True)
    assert contrasts[-1] < 0.5 * contrasts[0]


def test_fog_hides_what_is_far_before_what_is_near(camera: Camera) -> None:
    foggy = Scene(camera, ROAD, FOG.shaken(0.0), seed=5)
    clear = Scene(camera, ROAD, WEATHERS["overcast"].shaken(0.0), seed=5)

    def visibility(scene: Scene, y_m: float) -> float:
        car = vehicle_of_kind("car-1", "car", ROAD.lane_centre_m(1), y_m)
        rendered, empty = scene.render([car], 0.0), scene.render([], 0.0)
        left, top, right, bottom = rendered.truth.boxes[0].box
        area = (slice(top, bottom), slice(left, right))
        return float(np.abs(rendered.frame[area].astype(int) - empty.frame[area].astype(int)).mean())

    near = visibility(foggy, 8.0) / visibility(clear, 8.0)
    far = visibility(foggy, 55.0) / visibility(clear, 55.0)
    assert far < 0.6 * near


def test_night_is_darker_and_rain_moves(small: Camera) -> None:
    night, day = Scene(small, ROAD, NIGHT, seed=5), Scene(small, ROAD, DAY, seed=5)
    assert night.render([], 0.0).frame.mean() < 0.5 * day.render([], 0.0).frame.mean()
    rain = Scene(small, ROAD, RAIN.shaken(0.0), seed=5)
    dry = Scene(small, ROAD, WEATHERS["overcast"].shaken(0.0), seed=5)

    def flicker(scene: Scene) -> float:
        first, second = scene.render([], 0.0).frame, scene.render([], 0.2).frame
        return float((np.abs(first.astype(int) - second.astype(int)) > 14).mean())

    snow = Scene(small, ROAD, SNOW.shaken(0.0), seed=5)
    assert flicker(rain) > 5 * flicker(dry)
    assert flicker(snow) > 5 * flicker(dry)


def test_snow_lies_beside_the_road_and_less_where_tyres_roll(small: Camera) -> None:
    snowed, bare = (Scene(small, ROAD, one, seed=5).background for one in (SNOW, OVERCAST))

    def whiter(x_m: float) -> float:
        at, _ = small.project(np.array([[x_m, y_m, 0.0] for y_m in np.arange(6.0, 12.0, 0.25)]))
        columns, rows = at.round().astype(int).T
        return float(snowed[rows, columns].mean()) - float(bare[rows, columns].mean())

    between, rolled = ROAD.lane_centre_m(1), ROAD.lane_centre_m(1) - 0.8
    assert whiter(-1.5) > 30
    assert whiter(between) > whiter(rolled) + 2 > 2


@pytest.mark.parametrize("identity", ["ambulance-1", "ambulance-2", "ambulance-3"])
def test_beacons_flash_at_their_frequency(camera: Camera, identity: str) -> None:
    scene = Scene(camera, ROAD, NIGHT.shaken(0.0), seed=5)
    ambulance = vehicle_of_kind(identity, "ambulance", ROAD.lane_centre_m(1), 8.0, beacons=True)
    left, top, right, _ = scene.render([ambulance], 0.0).truth.boxes[0].box
    top, middle = max(0, top - 6), (left + right) // 2
    per_s, seconds = 32, 4
    signal = []
    for frame in range(per_s * seconds):
        lamps = scene.render([ambulance], frame / per_s, boxes=False).frame[top : top + 20, :, 0].astype(float)
        signal.append(lamps[:, middle:right].mean() - lamps[:, left:middle].mean())
    spectrum = np.abs(np.fft.rfft(np.array(signal) - np.mean(signal)))
    assert np.argmax(spectrum) / seconds == pytest.approx(beacon_hz(identity), abs=1 / seconds)
    assert 1.0 <= beacon_hz(identity) <= 4.0


def test_beacons_that_are_off_do_not_flash(camera: Camera) -> None:
    scene = Scene(camera, ROAD, NIGHT.shaken(0.0), seed=5)
    quiet = vehicle_of_kind("ambulance-1", "ambulance", ROAD.lane_centre_m(1), 8.0)
    (box,) = scene.render([quiet], 0.0).truth.boxes
    assert (box.beacons, box.lit) == (False, None)
    left, top, right, _ = box.box
    blue = [
        scene.render([quiet], t / 10).frame[top : top + 12, left:right].astype(float).mean(axis=(0, 1))
        for t in range(8)
    ]
    assert np.ptp([b - r for b, _, r in blue]) < 3


# -- scripts


def test_an_indicator_adds_light_and_takes_none(camera: Camera) -> None:
    """Not even from the head lamp beside it, which shines in its place."""
    scene = Scene(camera, ROAD, NIGHT, seed=5)

    def shown(at_s: float) -> np.ndarray:
        lights = Lights(indicator="both", indicator_hz=1.0, phase=(0.1 - at_s) % 1.0)
        one = vehicle_of_kind("one", "car", ROAD.lane_centre_m(1), 12.0, lights=lights)
        return scene.render([one], 2.0).frame.astype(int)

    more = shown(2.0) - shown(2.5)
    assert (more.max(axis=2) > 5).sum() > 20
    assert more.min() > -4


def test_a_queue_builds_stands_and_discharges() -> None:
    seen = [(t, measure(ROAD, vehicles, t, CORNERS)) for t, vehicles in play(ROAD, "queue", seed=1)]
    at = {round(t): truth for t, truth in seen}
    assert at[10].queue_m < 10
    assert at[110].queue_m > 50
    assert at[110].occupancy > 0.2
    assert at[160].queue_m < 10
    assert all(0 <= truth.occupancy <= 1 for _, truth in seen)


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripted_vehicles_never_overlap(script: str) -> None:
    for _, vehicles in play(ROAD, script, seed=2, fps=1.0):
        for lane in range(3):
            low, high = ROAD.lane_bounds()[lane]
            queue = sorted((v for v in vehicles if low <= v.x_m < high and v.heading_rad == 0.0), key=lambda v: v.y_m)
            for ahead, behind in pairwise(queue):
                assert behind.y_m >= ahead.y_m + ahead.length_m


def test_a_red_signal_is_obeyed() -> None:
    for _, vehicles in play(ROAD, "standing", seed=2, fps=2.0):
        assert all(v.y_m >= 0 for v in vehicles if v.heading_rad == 0.0)
