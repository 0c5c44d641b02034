"""What the claims want of the signals, and that the safety check stays above it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from edge_server.signals.layout import layouts
from edge_server.signals.preemption.events import Higher, Observed, Request, Tick
from edge_server.signals.preemption.flush import worst_ms
from edge_server.signals.preemption.machine import step
from edge_server.signals.preemption.state import State
from edge_server.signals.preemption.terms import Terms
from edge_server.signals.preemption.wanted import calls, waiting_ms, wanted
from edge_server.signals.safety import Memory, Proposal, judge, sent, service_bound_ms
from edge_server.signals.view import View
from protocol.preemption import PreemptionRules
from protocol.site import Site
from tests.edge_server.signals.preemption.preemption_kit import NORTH, Story
from tests.edge_server.signals.signal_plant import Plant
from tests.edge_server.signals.signal_sites import crossing, random_intersections, site

LAYOUT = layouts(site(crossing()))["north"]


def showing(*phases: int, target: tuple[int, ...] | None = None, seconds: float = 20.0) -> View:
    plant = Plant(crossing())
    plant.obey(frozenset(phases))
    plant.advance(20_000)
    plant.advance(round(seconds * 1000))
    if target is not None:
        plant.target = frozenset(target)
    return View.of(plant.heartbeat(), 0)


def test_a_lease_wants_the_stage_of_its_approach_with_nobody_walking():
    story = Story()
    assert wanted(story.state, LAYOUT, showing(2, 6), story.at_ms) is None
    story.ask(approach=NORTH)
    assert wanted(story.state, LAYOUT, showing(2, 6), story.at_ms).stage == "ns"
    assert calls(story.state) == {4}


def test_what_is_wanted_ends_at_the_very_millisecond_although_no_tick_came():
    story = Story()
    story.ask()
    assert wanted(story.state, LAYOUT, showing(2, 6), story.at_ms + 4_999) is not None
    assert wanted(story.state, LAYOUT, showing(2, 6), story.at_ms + 5_000) is None


def test_a_recovery_wants_the_phase_that_is_owed():
    story = Story()
    story.ask()
    story.cancel()
    story.wait(0.5, heard=True, red_ms={2: 20_000, 12: 40_000})
    assert wanted(story.state, LAYOUT, showing(4, 8), story.at_ms).stage == "ew-walk"


@pytest.mark.parametrize(("green_s", "stage"), [(5.0, None), (13.0, None), (14.0, "ns-walk")])
def test_a_bus_gets_an_early_green_only_after_most_of_the_planned_green(green_s, stage):
    story = Story()
    story.ask("bus-1", NORTH)
    view = showing(2, 6)
    shown = {one: structs.replace(state, elapsed_ms=round(green_s * 1000)) for one, state in view.shown.items()}
    found = wanted(story.state, LAYOUT, replace(view, shown=shown), story.at_ms)
    assert (found.stage if found else None) == stage


def test_a_bus_extends_its_own_green_for_its_cap():
    story = Story()
    story.ask("bus-1", NORTH)
    assert wanted(story.state, LAYOUT, showing(4, 8), story.at_ms).stage == "ns-walk"
    story.hold(14, ("bus-1", NORTH))
    assert wanted(story.state, LAYOUT, showing(4, 8), story.at_ms) is not None
    story.hold(1, ("bus-1", NORTH))
    assert wanted(story.state, LAYOUT, showing(4, 8), story.at_ms) is None


def test_a_sighting_calls_always_and_extends_only_what_is_green():
    story = Story()
    story.observe(NORTH)
    assert calls(story.state) == {4}
    assert wanted(story.state, LAYOUT, showing(2, 6), story.at_ms) is None
    assert wanted(story.state, LAYOUT, showing(4, 8), story.at_ms).why == "extension"
    for _ in range(16):
        story.observe(NORTH)
        story.wait(1)
    assert wanted(story.state, LAYOUT, showing(4, 8), story.at_ms) is None, "no longer than a bus"


def test_nothing_is_wanted_while_something_outranks_us():
    story = Story()
    story.ask()
    story.tell(Higher(at_ms=story.at_ms, source="railway", kind="railway", active=True))
    assert wanted(story.state, LAYOUT, showing(2, 6), story.at_ms) is None


class Street:
    """Claims, safety check and a controller without sense, in one loop of half seconds."""

    def __init__(self, intersection, called: frozenset[int]) -> None:
        self.called = called
        self.layout = layouts(Site(id="test", intersections=(intersection,)))[intersection.id]
        self.state = State(Terms.of(intersection, PreemptionRules()))
        self.plant = Plant(intersection)
        self.memory = Memory()
        self.red_ms: dict[int, int] = {}

    def tell(self, event) -> None:
        self.state, _ = step(self.state, event)

    def run(self, ticks: int, otherwise: str) -> None:
        for _ in range(ticks):
            plant = self.plant
            plant.advance(500)
            view = View.of(plant.heartbeat(), plant.now_ms)
            called = calls(self.state) | self.called
            reds = waiting_ms(self.layout, view, called, plant.now_ms)
            self.tell(Tick(at_ms=plant.now_ms, heard=True, red_ms=reds, serving=tuple(view.serving)))
            want = wanted(self.state, self.layout, view, plant.now_ms)
            proposal = Proposal("test", want.stage if want is not None else otherwise)
            called |= want.calls if want is not None else frozenset()
            self.memory, verdict = judge(self.layout, self.memory, view, proposal, wanted=called, now_ms=plant.now_ms)
            plant.obey(frozenset(verdict.command.phases))
            self.memory = sent(self.memory, verdict.command, plant.now_ms)
            for phase in self.layout.phases:
                red = 0 if phase in view.serving else self.red_ms.get(phase, 0) + 500
                self.red_ms[phase] = red
                assert red <= service_bound_ms(self.layout) + 1_000
            assert plant.violations == []


def test_a_lease_brings_green_soon_and_keeps_it_and_then_the_starved_come_first():
    street = Street(crossing(), frozenset({2, 4, 6, 8}))
    street.run(40, "ew-walk")
    waited = 0
    for sequence in range(40):
        now_ms = street.plant.now_ms
        street.tell(Request(at_ms=now_ms, vehicle="a-1", role="ambulance", approach=NORTH, sequence=sequence,
                            evidence=("beacons",)))  # fmt: skip
        street.run(2, "ew-walk")
        waited += not street.plant.serving(4)
    assert waited <= 14, "walk, its clearance and the intergreen, no more"
    street.run(30, "ns")
    assert street.plant.serving(2), "what was starved is served although the controller wants to stay"


@settings(max_examples=40, deadline=None)
@given(intersection=random_intersections(), data=st.data())
def test_whatever_is_claimed_signals_stay_safe_and_everybody_is_served(intersection, data):
    street = Street(intersection, frozenset(one.id for one in intersection.phases))
    approaches = [one.id for one in intersection.approaches]
    stages = list(street.layout.stages)
    for sequence in range(data.draw(st.integers(1, 25))):
        at_ms = street.plant.now_ms
        approach = data.draw(st.sampled_from(approaches))
        if data.draw(st.booleans()):
            name = data.draw(st.sampled_from(["a-1", "a-2", "b-3"]))
            role = "bus" if name == "b-3" else "ambulance"
            street.tell(Request(at_ms=at_ms, vehicle=name, role=role, approach=approach, sequence=sequence,
                                evidence=("beacons",)))  # fmt: skip
        else:
            street.tell(Observed(at_ms=at_ms, approach=approach, asks=True))
        street.run(data.draw(st.sampled_from([1, 4, 9, 30])), data.draw(st.sampled_from(stages)))


@pytest.mark.parametrize("held_s", range(40, 130, 6))
@pytest.mark.parametrize("green", ["ns", "ew"])
def test_who_is_announced_in_time_meets_green_whoever_would_have_had_to_be_served_just_then(held_s, green):
    street = Street(crossing(), frozenset())
    street.run(2 * held_s, green)
    phases = frozenset(street.state.terms.phases(NORTH, None))
    ahead_ms = worst_ms(street.layout, phases) + 4_000
    arrival_ms = street.plant.now_ms + 60_000
    for sequence in range(64):
        now_ms = street.plant.now_ms
        said = {"vehicle": "a-1", "role": "ambulance", "approach": NORTH, "evidence": ("beacons",)}
        arrives_in_ms = max(0, arrival_ms - now_ms)
        street.tell(Request(at_ms=now_ms, sequence=sequence, arrives_in_ms=arrives_in_ms, ahead_ms=ahead_ms, **said))
        street.run(2, green)
        assert now_ms < arrival_ms or any(street.plant.serving(one) for one in phases)
