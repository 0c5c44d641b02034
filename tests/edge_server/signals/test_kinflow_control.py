"""Kinflow's own controllers: what they choose, and the order of a NEMA controller."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from edge_server.signals.controllers import kinflow, kinflow_nema
from edge_server.signals.layout import layouts
from edge_server.signals.service_model import ServiceModel
from edge_server.signals.sight import Sight, Vehicles
from edge_server.signals.view import View
from protocol.ids import ApproachId, PhaseId, StageId
from protocol.site import Intersection, Lane, Phase, Plan, PlanStep, Stage
from tests.edge_server.signals.signal_plant import Plant
from tests.edge_server.signals.signal_sites import approach, crossing, site

LAYOUT = layouts(site(crossing()))["north"]


def view(calls=()):
    """East and west became green at 0."""
    plant = Plant(crossing())
    plant.obey(frozenset((PhaseId(2), PhaseId(6))))
    plant.advance(20_000)
    for phase in calls:
        plant.call(PhaseId(phase))
    return View.of(plant.heartbeat(), 0)


LATE_MS = 9_000


def seen(count, standing=None, at_ms=LATE_MS):
    return Sight(at_ms, (Vehicles(count, 0.0, standing),), at_ms)


def sights(at_ms=LATE_MS, **counts):
    return {ApproachId(f"north-{side}"): seen(count, at_ms=at_ms) for side, count in counts.items()}


def test_the_queue_that_is_left_is_served_before_a_change():
    assert kinflow.decide(LAYOUT, sights(e=6, w=6, n=6, s=6), view(), LATE_MS).stage == "ew"


def test_a_queue_that_flows_is_not_broken_off_for_as_long_a_one_that_has_waited_a_minute():
    known = sights(60_000, e=6, w=6, n=9, s=9)
    assert kinflow.decide(LAYOUT, known, view(), 60_000).stage == "ew"


def test_an_empty_green_ends_for_one_who_waits():
    assert kinflow.decide(LAYOUT, sights(e=0, w=0, n=1, s=0), view(), LATE_MS).stage == "ns"


def test_nobody_anywhere_changes_nothing():
    assert kinflow.decide(LAYOUT, sights(e=0, w=0, n=0, s=0), view(), LATE_MS).stage == "ew"


def test_a_walk_is_served_when_it_is_called_for_and_nobody_drives():
    assert kinflow.decide(LAYOUT, sights(e=0, w=0, n=0, s=0), view(calls=(12,)), LATE_MS).stage == "ew-walk"


def test_who_stands_although_it_is_green_does_not_hold_the_green():
    stuck = {ApproachId("north-e"): seen(9, 9), ApproachId("north-w"): seen(9, 9)}
    moving = {ApproachId("north-e"): seen(9, 2), ApproachId("north-w"): seen(9, 2)}
    others = {ApproachId("north-n"): seen(5, 5), ApproachId("north-s"): seen(5, 5)}
    assert kinflow.decide(LAYOUT, stuck | others, view(), LATE_MS).stage == "ns"
    assert kinflow.decide(LAYOUT, moving | others, view(), LATE_MS).stage == "ew"


def test_who_only_joins_the_next_queue_weighs_less():
    north = crossing("north")
    leading = tuple(
        replace(one, lanes=tuple(replace(lane, to=("south-n",)) for lane in one.lanes)) if one.id == "north-n" else one
        for one in north.approaches
    )
    layout = layouts(site(replace(north, approaches=leading), crossing("south")))["north"]

    def rate(queue_ahead):
        known = sights(e=0, w=0, n=3, s=0) | {ApproachId("south-n"): seen(queue_ahead, queue_ahead)}
        model = ServiceModel(layout, known, view(), LATE_MS, layout.stages[StageId("ew")])
        return model.rate(layout.stages[StageId("ns")])[0]

    # Three still fit behind five, of eight.
    assert rate(queue_ahead=5) < rate(queue_ahead=2) < rate(queue_ahead=0)
    assert rate(queue_ahead=8) == 0.0


def test_a_lane_that_nobody_sees_gets_its_turn():
    later_ms = 40_000
    known = sights(later_ms, e=0, w=0, n=0) | {ApproachId("north-s"): Sight(0)}
    assert kinflow.decide(LAYOUT, known, view(), later_ms).stage == "ns"


def test_a_green_is_not_ended_before_its_least_time():
    assert kinflow.decide(LAYOUT, sights(1_000, e=0, w=0, n=9, s=9), view(), 1_000).stage == "ew"


def test_in_the_order_of_a_nema_controller_who_waits_is_reached_too():
    assert kinflow_nema.decide(LAYOUT, sights(e=0, w=0, n=5, s=5), view(), LATE_MS).stage == "ns"


def dual_ring():
    """Two roads, four protected left turns: phases 1 to 8 as NEMA numbers them."""
    pairs = {"main-through": (2, 6), "main-left": (1, 5), "side-through": (4, 8), "side-left": (3, 7)}
    pairs |= {"west": (2, 5), "east": (1, 6), "north": (4, 7), "south": (3, 8)}
    together = {frozenset(pair) for pair in pairs.values()}
    every = [(a, b) for a in range(1, 9) for b in range(a + 1, 9)]
    base = crossing()
    fields = {name: getattr(base, name) for name in base.__struct_fields__}
    roads = {"w": (2, 5), "e": (6, 1), "n": (4, 7), "s": (8, 3)}
    fields |= {
        "approaches": tuple(
            _road(approach(f"north-{side}", [through]), (through, left)) for side, (through, left) in roads.items()
        ),
        "phases": tuple(Phase(id=PhaseId(one)) for one in range(1, 9)),
        "conflicts": tuple(pair for pair in every if frozenset(pair) not in together),
        "compatible": tuple(pair for pair in every if frozenset(pair) in together),
        "stages": tuple(Stage(id=StageId(name), phases=phases) for name, phases in pairs.items()),
        "plan": Plan(
            steps=tuple(
                PlanStep(stage=StageId(one), green_s=20.0)
                for one in ("main-left", "main-through", "side-left", "side-through")
            )
        ),
    }
    return layouts(site(Intersection(**fields)))["north"]


def _road(road, phases):
    fields = {name: getattr(road, name) for name in road.__struct_fields__}
    fields["lanes"] = tuple(Lane(id=f"{road.id}-{one}", phases=(PhaseId(one),)) for one in phases)
    return type(road)(**fields)


DUAL = dual_ring()


def test_two_barrier_groups_of_two_rings_are_found():
    assert DUAL.rings is not None
    assert {frozenset(ring) for group in DUAL.rings.groups for ring in group} == {
        frozenset({1, 2}), frozenset({5, 6}), frozenset({3, 4}), frozenset({7, 8}),
    }  # fmt: skip


@given(st.sampled_from(sorted(DUAL.stages)), st.sets(st.integers(1, 8)))
def test_rings_never_go_back_and_pass_over_nobody_who_waits(current, waiting):
    rings = DUAL.rings
    waiting = frozenset(PhaseId(one) for one in waiting)
    here = rings.places[current]
    allowed = rings.may_follow(current, waiting)
    assert current in allowed
    for stage in allowed:
        place = rings.places[stage]
        if place.group == here.group:
            assert all(to >= at for at, to in zip(here.at, place.at, strict=True))
        else:
            before = {
                phase for ring, at in zip(rings.groups[here.group], here.at, strict=True) for phase in ring[at + 1 :]
            }
            assert before.isdisjoint(waiting)
