"""The index on roads that the tests draw: what it says must follow what stands there."""

import numpy as np
import pytest

from agent.traffic.calibration import calibrate, propose
from agent.traffic.empty_road import EmptyRoad
from agent.traffic.index import IndexModel

CAR = (1.8, 4.5, 1.45)


def queue(road, lengths_m, seed=3):
    rng = np.random.default_rng(seed)
    vehicles = []
    for lane, length_m in enumerate(lengths_m):
        y = 1.0
        while y + CAR[1] <= length_m:
            x = 3.5 * lane + 1.75 + rng.uniform(-0.2, 0.2)
            vehicles.append((x, y, *CAR, tuple(rng.uniform(30, 230, 3))))
            y += CAR[1] + rng.uniform(1.8, 3.0)
    return vehicles


class Watched:
    """A drawn road under the index, with a clock that moves half a second a frame."""

    def __init__(self, road):
        self.road = road
        self.model = IndexModel(calibrate(road.corners, road.width_m, road.length_m, road.size))
        self.state, self.now_ms, self.reading = self.model.initial(), 0, None

    def show(self, vehicles, seconds, score=1.0):
        for _ in range(round(seconds * 2)):
            seen = self.model.view.profile(self.road.draw(vehicles))
            self.now_ms += 500
            self.state, self.reading = self.model.step(self.state, *seen, self.now_ms, score=score)
        return self.reading


WEATHERS = {
    "day": {},
    "fog": {"fog": 0.03},
    "night": {"night": True},
    "noise": {"noise": 6.0},
    "high": {"height_m": 12.0},
}


@pytest.mark.parametrize("weather", WEATHERS)
def test_a_queue_is_measured_whatever_the_weather(drawn_road, weather):
    watched = Watched(drawn_road(**WEATHERS[weather]))
    watched.show([], 5)
    vehicles = queue(watched.road, [48, 30, 18])
    # A lane line inside of a strip is told from a vehicle only once something has passed over it.
    watched.show(vehicles, 2)
    watched.show([], 25)
    reading = watched.show(vehicles, 5)
    truth = watched.road.truth(vehicles)
    assert reading.occupancy.value == pytest.approx(truth, abs=0.05)
    assert reading.occupancy.low <= truth <= reading.occupancy.high
    assert reading.queue_m.value == pytest.approx(48, abs=9)
    assert [lane.occupancy.value for lane in reading.lanes] == sorted(
        (lane.occupancy.value for lane in reading.lanes), reverse=True
    )


def test_the_empty_road_is_free_and_a_full_one_is_a_jam(drawn_road):
    watched = Watched(drawn_road(lane_marks=False, height_m=12.0))
    reading = watched.show([], 10)
    assert (reading.congestion, reading.knowledge) == ("free", "known")
    assert reading.index.value < 0.1
    assert watched.show(queue(watched.road, [60, 60, 60]), 8).congestion in ("dense", "jam")
    bumper_to_bumper = [
        (3.5 * lane + 1.75, y, 2.5, 8.0, 2.0, (200, 190, 60))
        for lane in range(3)
        for y in (0.5, 10, 19.5, 29, 38.5, 48)
    ]
    assert watched.show(bumper_to_bumper, 8).congestion in ("dense", "jam")


def test_a_queue_that_stands_for_five_minutes_keeps_its_occupancy(drawn_road):
    watched = Watched(drawn_road(height_m=12.0))
    watched.show([], 40)
    vehicles = queue(watched.road, [50, 50, 50])
    at_first = watched.show(vehicles, 5).occupancy.value
    seen = watched.model.view.profile(watched.road.draw(vehicles))
    lowest = at_first
    for _ in range(300):
        watched.now_ms += 1000
        watched.state, reading = watched.model.step(watched.state, *seen, watched.now_ms)
        lowest = min(lowest, reading.occupancy.value)
    assert lowest >= 0.8 * at_first
    assert watched.show([], 8).occupancy.value < 0.03


def test_a_road_that_never_shows_itself_empty_tells_no_index(drawn_road):
    watched = Watched(drawn_road(height_m=5.0))
    reading = watched.show(queue(watched.road, [75, 75, 75]), 10)
    assert reading.knowledge == "unknown"
    assert reading.index.value is None
    assert (reading.index.low, reading.index.high) == (0.0, 1.0)
    assert reading.congestion is None


def test_what_was_learnt_serves_the_next_run(drawn_road):
    watched = Watched(drawn_road(height_m=12.0))
    watched.show([], 10)
    vehicles = queue(watched.road, [40, 40, 40])
    seen = watched.model.view.profile(watched.road.draw(vehicles))
    _, reading = watched.model.step(watched.model.initial(watched.state.road), *seen, 0)
    assert reading.knowledge == "known"
    assert reading.occupancy.value == pytest.approx(watched.road.truth(vehicles), abs=0.08)


def test_a_road_learnt_under_another_calibration_is_not_used(drawn_road):
    model = IndexModel(propose(10.5, 60.0, (640, 360)))
    assert model.initial(EmptyRoad.unknown(2, 7)).road.seconds.shape[:2] != (2, 7)


def test_poor_pictures_and_poor_calibration_widen_the_interval(drawn_road):
    def width(watched, score=1.0):
        reading = watched.show(vehicles, 3, score)
        return reading.occupancy.high - reading.occupancy.low

    vehicles = queue(drawn_road(), [30, 30, 30])
    good = Watched(drawn_road(height_m=12.0))
    good.show([], 10)
    poor = Watched(drawn_road(height_m=12.0))
    poor.show([], 10)
    assert width(poor, score=0.5) > 1.3 * width(good)


def test_approaching_traffic_has_its_speed(drawn_road):
    watched = Watched(drawn_road(height_m=10.0))
    watched.show([], 5)
    speeds = []
    for step in range(40):
        t = step * 0.2
        vehicles = [
            (3.5 * lane + 1.75, y0 - 10.0 * t, *CAR, shade)
            for lane, y0, shade in ((0, 30, (200, 60, 40)), (1, 60, (220, 220, 220)), (2, 85, (30, 30, 160)))
        ]
        seen = watched.model.view.profile(watched.road.draw(vehicles))
        watched.now_ms += 200
        watched.state, reading = watched.model.step(watched.state, *seen, watched.now_ms)
        if reading.speed_mps is not None:
            speeds.append(reading.speed_mps.value)
    assert np.median(speeds) == pytest.approx(10.0, rel=0.25)
