"""Occupancy, index, classes; metres and degrees."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.geo import length_m, to_lonlat, to_metres
from protocol.units import CONGESTION_CLASSES, HYSTERESIS, classify, index_from_occupancy

fractions = st.floats(0.0, 1.0)


@given(fractions, fractions)
def test_the_index_rises_with_occupancy_and_stays_within_0_and_1(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert 0.0 <= index_from_occupancy(low) <= index_from_occupancy(high) <= 1.0


@pytest.mark.parametrize(("occupancy", "index"), [(0.0, 0.0), (0.175, 0.5), (0.35, 1.0), (1.0, 1.0), (-0.1, 0.0)])
def test_the_index_is_occupancy_over_035(occupancy: float, index: float) -> None:
    assert index_from_occupancy(occupancy) == pytest.approx(index)


@pytest.mark.parametrize(
    ("index", "congestion"),
    [(0.0, "free"), (0.2499, "free"), (0.25, "slow"), (0.5, "dense"), (0.7999, "dense"), (0.8, "jam"), (1.0, "jam")],
)
def test_classes_begin_where_the_design_says(index: float, congestion: str) -> None:
    assert classify(index) == congestion


@given(fractions, st.sampled_from(CONGESTION_CLASSES))
def test_hysteresis_only_ever_holds_a_class_back(index: float, previous: str) -> None:
    plain = CONGESTION_CLASSES.index(classify(index))
    held = CONGESTION_CLASSES.index(classify(index, previous))  # type: ignore[arg-type]
    was = CONGESTION_CLASSES.index(previous)  # type: ignore[arg-type]
    assert min(was, plain) <= held <= max(was, plain)
    assert classify(index, CONGESTION_CLASSES[held]) == CONGESTION_CLASSES[held], "and it comes to rest"


@given(st.sampled_from([0.25, 0.5, 0.8]), st.lists(st.floats(-0.99, 0.99), min_size=2, max_size=30))
def test_noise_below_the_hysteresis_changes_the_class_once_at_most(bound: float, noise: list[float]) -> None:
    classes = [classify(bound + HYSTERESIS * noise[0])]
    for wobble in noise[1:]:
        classes.append(classify(bound + HYSTERESIS * wobble, classes[-1]))
    assert sum(a != b for a, b in pairwise(classes)) == 0


lonlats = st.tuples(st.floats(-180.0, 180.0), st.floats(-80.0, 80.0))
offsets = st.floats(-20_000.0, 20_000.0)


@given(lonlats, offsets, offsets)
def test_metres_and_degrees_are_inverse(origin: tuple[float, float], east_m: float, north_m: float) -> None:
    back = to_metres(to_lonlat(east_m, north_m, origin), origin)
    assert back == (pytest.approx(east_m, abs=1e-3), pytest.approx(north_m, abs=1e-3))


def test_a_degree_of_latitude_is_111_km_and_of_longitude_half_at_60_degrees() -> None:
    assert to_metres((0.0, 1.0), (0.0, 0.0)) == (0.0, pytest.approx(111_320.0))
    assert to_metres((1.0, 60.0), (0.0, 60.0))[0] == pytest.approx(55_660.0)


@given(st.lists(st.tuples(st.floats(11.0, 11.1), st.floats(48.0, 48.1)), min_size=2, max_size=6))
def test_a_line_is_at_least_as_long_as_the_way_between_its_ends(points: list[tuple[float, float]]) -> None:
    assert length_m(tuple(points)) >= length_m((points[0], points[-1])) * 0.99
    assert length_m(tuple(points[:1])) == 0.0
