"""The controllers: one contract that each passes, and what each is for."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_server.errors import SignalControlUnknown
from edge_server.signals.controller import controller, slugs
from edge_server.signals.controllers import fixed_time, max_pressure
from edge_server.signals.layout import layouts
from edge_server.signals.sight import Sight, Vehicles
from edge_server.signals.view import View
from protocol.ids import ApproachId, PhaseId
from protocol.site import Lane
from tests.edge_server.signals.signal_plant import Plant
from tests.edge_server.signals.signal_sites import approach, crossing, random_intersections, site


def seen(vehicles: float, at_ms: int = 0) -> Sight:
    return Sight(at_ms, (Vehicles(vehicles, 0.0),), captured_ms=1)


def sights(**vehicles: float) -> dict[ApproachId, Sight]:
    return {ApproachId(f"north-{side}"): seen(count) for side, count in vehicles.items()}


def view(serving: tuple[int, ...] = (2, 6), at_ms: int = 0, calls: tuple[int, ...] = ()) -> View:
    plant = Plant(crossing())
    plant.obey(frozenset(PhaseId(one) for one in serving))
    plant.advance(20_000)
    for phase in calls:
        plant.call(PhaseId(phase))
    return View.of(plant.heartbeat(), at_ms)


LAYOUT = layouts(site())["north"]


@pytest.mark.parametrize("slug", slugs())
@settings(max_examples=40, deadline=None)
@given(intersection=random_intersections(), now_ms=st.integers(0, 10**7), counts=st.lists(st.floats(0, 50), max_size=6))
def test_every_controller_proposes_a_stage_of_its_intersection_and_the_same_one_again(
    slug, intersection, now_ms, counts
):
    layout = layouts(site(intersection))[intersection.id]
    known = {one.id: seen(count, now_ms) for one, count in zip(layout.approaches, counts, strict=False)}
    heard = View.of(Plant(intersection).heartbeat(), now_ms)
    decision = controller(slug)(layout, known, heard, now_ms)
    assert decision.stage in layout.stages
    assert decision.reason
    assert controller(slug)(layout, known, heard, now_ms) == decision


def test_a_controller_is_found_by_the_name_of_its_file():
    assert slugs() == ("fixed-time", "kinflow", "kinflow-nema", "max-pressure", "max-pressure-textbook")
    assert controller("max-pressure") is max_pressure.decide
    with pytest.raises(SignalControlUnknown) as caught:
        controller("os")
    assert caught.value.code == "KF87"


def test_fixed_time_follows_the_plan_and_its_offset():
    # ew-walk 20 s, 4 s intergreen, ns-walk 20 s, 4 s intergreen.
    due = [fixed_time.decide(LAYOUT, {}, view(), second * 1000).stage for second in range(48)]
    assert due == ["ew-walk"] * 20 + ["ns-walk"] * 24 + ["ew-walk"] * 4
    shifted = layouts(site(crossing(offset_s=10.0)))["north"]
    assert [fixed_time.decide(shifted, {}, view(), second * 1000).stage for second in (9, 10, 29, 30)] == [
        "ew-walk",
        "ew-walk",
        "ew-walk",
        "ns-walk",
    ]


def test_max_pressure_serves_the_longer_queues():
    assert max_pressure.decide(LAYOUT, sights(e=1, w=1, n=6, s=7), view(), 0).stage == "ns"
    assert max_pressure.decide(LAYOUT, sights(e=7, w=6, n=1, s=1), view((4, 8)), 0).stage == "ew"


def test_max_pressure_changes_only_for_more_than_a_change_loses():
    # 4 s of change and 2 s of start-up: three vehicles on each of two lanes, times three.
    assert max_pressure.decide(LAYOUT, sights(e=4, w=4, n=13, s=13), view(), 0).stage == "ew"
    assert max_pressure.decide(LAYOUT, sights(e=4, w=4, n=13.1, s=13), view(), 0).stage == "ns"
    # An empty lane has nothing to lose.
    assert max_pressure.decide(LAYOUT, sights(e=0, w=0, n=1, s=0), view(), 0).stage == "ns"


def test_max_pressure_sends_nobody_into_a_full_road():
    two = (crossing("north"), crossing("south"))
    into = Lane(id="north-n-0", phases=(PhaseId(4),), to=("south-n", "elsewhere"))
    road = approach("north-n", [4])
    road = type(road)(**{**{f: getattr(road, f) for f in road.__struct_fields__}, "lanes": (into,)})
    north = two[0]
    fields = {f: getattr(north, f) for f in north.__struct_fields__}
    fields["approaches"] = tuple(road if one.id == road.id else one for one in north.approaches)
    layout = layouts(site(type(north)(**fields), two[1]))["north"]
    queues = sights(e=2, w=2, n=8, s=0)
    free = max_pressure.phase_weights(layout, {**queues, ApproachId("south-n"): seen(0)}, view(), 0)
    full = max_pressure.phase_weights(layout, {**queues, ApproachId("south-n"): seen(8)}, view(), 0)
    assert free[PhaseId(4)] == 8
    assert full[PhaseId(4)] == 4, "half of the lane's vehicles lead into the full road"


def test_max_pressure_serves_a_walk_that_is_called_for_and_no_other():
    assert max_pressure.decide(LAYOUT, sights(e=5, w=5, n=0, s=0), view(), 0).stage == "ew"
    assert max_pressure.decide(LAYOUT, sights(e=5, w=5, n=0, s=0), view(calls=(12,)), 0).stage == "ew-walk"


def test_what_is_unseen_counts_as_the_prior_and_then_the_plan_runs():
    known = sights(e=0, w=0, n=0) | {ApproachId("north-s"): Sight(0)}
    weights = max_pressure.phase_weights(LAYOUT, known, view(), 0)
    assert weights[PhaseId(8)] == pytest.approx(2.0)
    late_ms = 30_001
    known = {one: seen(0, late_ms) for one in known} | {ApproachId("north-s"): Sight(0)}
    decision = max_pressure.decide(LAYOUT, known, view(at_ms=late_ms), late_ms)
    assert decision.stage == fixed_time.decide(LAYOUT, known, view(), late_ms).stage
    assert "north-s unseen" in decision.reason


def test_an_approach_without_a_camera_does_not_bring_back_the_plan():
    fields = {f: getattr(crossing(), f) for f in crossing().__struct_fields__}
    fields["approaches"] = tuple(
        approach(one.id, [one.lanes[0].phases[0]], camera=False) for one in fields["approaches"]
    )
    layout = layouts(site(type(crossing())(**fields)))["north"]
    known = {one.id: Sight(0) for one in layout.approaches}
    assert "pressure" in max_pressure.decide(layout, known, view(at_ms=90_000), 90_000).reason
