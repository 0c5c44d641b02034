"""Occupancy from edges, from tracks and from both; and how it goes with a reference."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.traffic.calibration import calibrate
from agent.traffic.index import IndexModel
from agent.traffic.occupied import footprint_rows
from agent.traffic.on_road import OnRoad
from agent.traffic.reference import Reference
from agent.traffic.track import Track
from models.occupancy.network import PLANES
from models.vision.detector import Detection

CALIBRATION = calibrate(((130.0, 330.0), (510.0, 330.0), (380.0, 90.0), (260.0, 90.0)), 10.5, 60.0, (640, 360))
MODEL = IndexModel(CALIBRATION)
LANES, ROWS = CALIBRATION.lanes, len(MODEL.view.rows.near_m)
SHARES = st.floats(0.0, 1.0)


def planes_of(seed, strength):
    """Planes of a road on which some stretches deviate from the empty one."""
    random = np.random.default_rng(seed)
    deviates = random.random((LANES, ROWS)) < 0.5
    seen = np.where(deviates, strength, 0.0)
    fixed = dict(zip(PLANES, blank(), strict=True))
    shown = dict.fromkeys(("left", "middle", "right", "signed"), seen) | {"covered": (seen > 0.1).astype(float)}
    return np.stack([np.asarray(one, np.float32) for one in (fixed | shown).values()])


def blank():
    profile = np.zeros((LANES * 3, ROWS), np.float32)
    return MODEL.features.planes(
        profile,
        deviation=profile,
        before=profile,
        empty=profile,
        known=np.ones_like(profile, bool),
        threshold=np.full(ROWS, 4.0),
        strong=np.full(ROWS, 40.0),
        noise=3.0,
        haze_per_m=0.0,
    )


def track(number, x, y, label="car"):
    return Track(number, label, {label: 0.9}, (0, 0, 10, 10), 0, 0, 5, (x, y), (0.0, 0.0))


def test_an_empty_road_is_read_as_empty():
    found, spread = MODEL.occupancy.from_edges(blank())
    assert found.whole[0] < 0.02
    assert (found.lanes < 0.03).all()
    assert (spread > 0).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), strength=st.floats(0.0, 2.0))
def test_what_is_read_is_a_share_with_an_interval(seed, strength):
    found, spread = MODEL.occupancy.from_edges(planes_of(seed, strength))
    assert 0.0 <= found.whole[0] <= 1.0
    assert found.whole[0] == pytest.approx(found.lanes.mean())
    assert min(found.whole[1:]) >= 0.0
    assert (found.below >= 0).all()
    assert (found.above >= 0).all()
    assert (spread > 0).all()
    assert ((found.rows >= 0) & (found.rows <= 1)).all()
    assert (found.standing <= found.rows + 1e-6).all()


@given(st.lists(st.tuples(st.floats(-3, 14), st.floats(-15, 80)), max_size=12), st.integers(0, 11))
def test_footprints_are_within_the_road_and_grow_with_each_vehicle(places, last):
    placed = [(x, y, (4.5, 1.8, 1.5)) for x, y in places]
    rows = footprint_rows(placed, MODEL.view, MODEL.features.within)
    assert ((rows >= 0) & (rows <= 1)).all()
    fewer = footprint_rows(placed[:last], MODEL.view, MODEL.features.within)
    assert (fewer <= rows + 1e-9).all()
    mirrored = [(CALIBRATION.road_width_m - x, y, size) for x, y, size in placed]
    assert np.allclose(footprint_rows(mirrored, MODEL.view, MODEL.features.within), rows[::-1], atol=1e-9)


def test_a_tracked_car_covers_its_footprint():
    rows, count = MODEL.occupancy.from_tracks([track(1, 5.25, 20.0), track(2, 5.25, 30.0, "person")])
    lane_m = CALIBRATION.road_width_m / LANES
    assert rows.sum(axis=1) * 0.5 * lane_m == pytest.approx([0.0, 4.5 * 1.8, 0.0])
    assert count.tolist() == [0.0, 1.0, 0.0]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), strength=st.floats(0.0, 2.0), places=st.lists(st.floats(0, 55), max_size=6))
def test_both_together_lie_between_the_two(seed, strength, places):
    edges, spread = MODEL.occupancy.from_edges(planes_of(seed, strength))
    tracks = [track(number, 1.75 + 3.5 * (number % LANES), y) for number, y in enumerate(places)]
    seen, _ = MODEL.occupancy.from_tracks(tracks)
    fused = MODEL.occupancy.fused(edges, spread, tracks)
    both = np.stack([MODEL.occupancy.by_third(one) for one in (edges.rows, seen)])
    lane_low, lane_high = both.min(axis=0).mean(axis=1), both.max(axis=0).mean(axis=1)
    assert ((fused.lanes >= lane_low - 1e-9) & (fused.lanes <= lane_high + 1e-9)).all()
    assert min(fused.whole[1:]) >= 0.0


def test_what_a_detector_does_not_find_may_be_there_all_the_same():
    edges, spread = MODEL.occupancy.from_edges(planes_of(1, 2.0))
    assert edges.whole[0] > 0.3
    assert MODEL.occupancy.fused(edges, spread, []).whole[0] > 0.8 * edges.whole[0]


def test_agreement_narrows_the_interval_and_disagreement_widens_it():
    edges, spread = MODEL.occupancy.from_edges(blank())
    agreeing = MODEL.occupancy.fused(edges, spread, [])
    many = [track(number, 1.75 + 3.5 * (number % LANES), 6.0 * (number // LANES)) for number in range(27)]
    opposed = MODEL.occupancy.fused(edges, spread, many)
    assert sum(agreeing.whole[1:]) <= sum(edges.whole[1:])
    assert sum(opposed.whole[1:]) > sum(agreeing.whole[1:])
    assert opposed.whole[0] > agreeing.whole[0]


def test_a_reference_that_sees_the_same_goes_along_with_it():
    reference, road = Reference(MODEL), OnRoad(CALIBRATION)
    for number in range(60):
        ahead = [y for y in (4.0, 12.0, 26.0, 48.0) if (number // 6 + int(y)) % 3]
        places = [(x, y) for x in (1.75, 5.25, 8.75) for y in ahead]
        boxes = [road.box(x, y, "car") for x, y in places]
        rows = footprint_rows([(x, y, (4.5, 1.8, 1.5)) for x, y in places], MODEL.view, MODEL.features.within)
        reference.add(SimpleNamespace(rows=rows), [Detection("car", 0.9, box) for box in boxes], number * 200)
    zones = reference.figures()
    assert [zone.zone for zone in zones] == ["near", "middle", "far"]
    assert all(zone.r > 0.95 for zone in zones)
    assert any(zone.counts for zone in zones)


def test_a_reference_that_never_changes_has_no_correlation():
    reference = Reference(MODEL)
    assert reference.figures() == ()
    for number in range(5):
        reference.add(SimpleNamespace(rows=np.zeros((LANES, ROWS))), [], number * 200)
    assert all(zone.r is None and not zone.counts for zone in reference.figures())
