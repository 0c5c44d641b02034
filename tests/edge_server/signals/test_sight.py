"""Vehicles from observations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_server.signals.layout import layouts
from edge_server.signals.sight import Sight, vehicles
from protocol.messages import Estimate, LaneObservation, Observation, Quality
from tests.edge_server.signals.signal_sites import site

ROAD = layouts(site())["north"].approaches[0]
LANE = ROAD.lanes[0]


def exact(value: float) -> Estimate:
    return Estimate(value, value, value)


def observation(**changes: object) -> Observation:
    fields = {
        "id": "01890000-0000-7000-8000-000000000000",
        "source": "agent",
        "boot": "0" * 16,
        "seq": 1,
        "at_ms": 0,
        "mono_ms": 0,
        "camera": "cam",
        "approach": ROAD.id,
        "captured_ms": 77,
        "captured_mono_ms": 0,
        "frame": 1,
        "sensor": "camera",
        "status": "ok",
        "calibrated": True,
        "occupancy": exact(0.1),
        "index": exact(0.3),
        "congestion": "slow",
        "quality": Quality(1.0),
    }
    return Observation(**{**fields, **changes})


def test_count_else_the_larger_of_queue_and_occupancy():
    everything = observation(count=exact(3), queue_m=exact(30))
    assert vehicles(everything, ROAD)[0].mean == 3
    assert vehicles(observation(queue_m=exact(30)), ROAD)[0].mean == 4
    assert vehicles(observation(), ROAD)[0].mean == pytest.approx(0.1 * 210 / 9)
    unknown = observation(count=Estimate(None, 0, 9), queue_m=exact(15))
    assert vehicles(unknown, ROAD)[0].mean == pytest.approx(0.1 * 210 / 9), "moving vehicles are no queue"


def test_a_lane_that_is_not_named_has_its_share_of_the_approach():
    road = layouts(site())["north"].approaches[0]
    two = type(road)(road.id, road.watched, (road.lanes[0], road.lanes[0]))
    assert [one.mean for one in vehicles(observation(count=exact(6)), two)] == [3, 3]
    named = observation(count=exact(6), lanes=(LaneObservation(LANE.id, exact(0.1), count=exact(1)),))
    assert vehicles(named, ROAD)[0].mean == 1


@pytest.mark.parametrize(
    "useless", [{"status": "blind"}, {"status": "learning"}, {"occupancy": Estimate(None, 0, 0.3)}]
)
def test_what_shows_no_vehicles_changes_nothing(useless):
    before = Sight(1_000).after(observation(count=exact(3)), ROAD, 2_000)
    after = before.after(observation(**useless), ROAD, 3_000)
    assert after == before
    assert before.captured_ms == 77


def test_an_older_observation_changes_nothing():
    newer = Sight(0).after(observation(count=exact(3)), ROAD, 2_000)
    assert newer.after(observation(count=exact(9)), ROAD, 1_000) == newer


@given(count=st.floats(0, 8), wide=st.floats(0, 4), age_ms=st.integers(0, 10**6))
def test_age_and_uncertainty_draw_the_estimate_towards_the_prior_and_never_past_it(count, wide, age_ms):
    prior = LANE.capacity / 4
    seen = Sight(0).after(observation(count=Estimate(count, count - wide, count + wide)), ROAD, 0)
    now, later = seen.mean(0, LANE, age_ms), seen.mean(0, LANE, age_ms + 1_000)
    low, high = sorted((count, prior))
    assert low - 1e-9 <= now <= high + 1e-9
    assert abs(later - prior) <= abs(now - prior) + 1e-9
    assert Sight(0).mean(0, LANE, age_ms) == prior


def test_an_exact_fresh_figure_is_taken_as_it_is():
    assert Sight(0).after(observation(count=exact(7)), approach=ROAD, seen_ms=5).mean(0, LANE, 5) == 7
