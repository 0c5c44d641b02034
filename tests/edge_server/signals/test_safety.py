"""The safety check, case by case. Its laws are in test_safety_laws."""

from __future__ import annotations

import dataclasses

import pytest

from edge_server.signals.layout import layouts
from edge_server.signals.safety import Memory, Proposal, SafeCommand, Verdict, judge, service_bound_ms
from edge_server.signals.view import View
from protocol.ids import IntersectionId, PhaseId
from tests.edge_server.signals.signal_plant import Plant
from tests.edge_server.signals.signal_sites import crossing, site

LAYOUT = layouts(site())["north"]


def plant(serving: tuple[int, ...] = (2, 6), seconds: float = 10.0) -> Plant:
    one = Plant(crossing())
    one.advance(2_000)
    one.obey(frozenset(PhaseId(phase) for phase in serving))
    one.advance(0)
    one.advance(round(seconds * 1000))
    return one


def ask(one: Plant, stage: object, memory: Memory | None = None, *, cuts: bool = False) -> tuple[Memory, Verdict]:
    view = View.of(one.heartbeat(), one.now_ms)
    proposal = Proposal("test", stage, "because", cuts_walk=cuts)
    return judge(LAYOUT, memory or Memory(), view, proposal, wanted=frozenset(), now_ms=one.now_ms)


def phases(verdict: Verdict) -> tuple[int, ...]:
    assert verdict.command is not None
    return verdict.command.phases


def test_a_safe_command_comes_from_the_check_alone():
    with pytest.raises(TypeError):
        SafeCommand(IntersectionId("north"), (PhaseId(2), PhaseId(4)), "me", "because", seal=object())
    _, verdict = ask(plant(), "ns")
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(verdict.command, phases=(PhaseId(2), PhaseId(4)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        verdict.command.phases = (PhaseId(2), PhaseId(4))


def test_a_fair_proposal_is_followed():
    _, verdict = ask(plant(), "ns")
    assert (phases(verdict), verdict.overruled, verdict.reason) == ((4, 8), False, "because")


def test_minimum_green_is_kept():
    _, verdict = ask(plant(seconds=4.9), "ns")
    assert phases(verdict) == (2, 6)
    assert verdict.overruled
    assert "minimum time" in verdict.reason
    assert phases(ask(plant(seconds=5.0), "ns")[1]) == (4, 8)


def test_walk_is_kept_then_clearance_runs_beside_the_green():
    walking = plant((2, 6, 12), seconds=4.0)
    assert phases(ask(walking, "ns")[1]) == (2, 6, 12)
    walking = plant((2, 6, 12), seconds=6.0)
    assert phases(ask(walking, "ns")[1]) == (2, 6), "vehicles stay while pedestrians walk off"
    walking.obey(frozenset({PhaseId(2), PhaseId(6)}))
    walking.advance(0)
    walking.advance(4_000)
    _, verdict = ask(walking, "ns")
    assert phases(verdict) == (2, 6)
    assert "pedestrians" in verdict.reason
    walking.advance(1_500)
    assert phases(ask(walking, "ns")[1]) == (4, 8), "what is left of clearance fits into yellow"


def test_pre_emption_ends_a_walk_after_four_seconds_and_never_its_clearance():
    assert phases(ask(plant((2, 6, 12), seconds=3.9), "ns", cuts=True)[1]) == (2, 6, 12)
    assert phases(ask(plant((2, 6, 12), seconds=4.0), "ns", cuts=False)[1]) == (2, 6, 12)
    walking = plant((2, 6, 12), seconds=4.0)
    _, verdict = ask(walking, "ns", cuts=True)
    assert (phases(verdict), verdict.command.cuts_walk) == ((2, 6), True)
    walking.obey(frozenset(verdict.command.phases), cuts_walk=True)
    walking.advance(0)
    assert walking.aspect[PhaseId(12)] == "pedestrian-clearance"
    walking.advance(4_500)
    _, verdict = ask(walking, "ns", cuts=True)
    assert (phases(verdict), verdict.command.cuts_walk) == ((2, 6), False), "8 s of clearance less 3 s of yellow"
    walking.advance(500)
    assert phases(ask(walking, "ns", cuts=True)[1]) == (4, 8)
    assert walking.violations == []


def test_a_walk_beside_what_pre_emption_wants_is_kept_and_one_that_has_had_its_time_is_not_cut():
    assert phases(ask(plant((4, 8, 14), seconds=4.5), "ns", cuts=True)[1]) == (4, 8, 14)
    _, verdict = ask(plant((2, 6, 12), seconds=6.0), "ns", cuts=True)
    assert (phases(verdict), verdict.command.cuts_walk) == ((2, 6), False)
    assert not ask(plant((2, 6, 12), seconds=4.5), "no-such-stage", cuts=True)[1].command.cuts_walk


def test_a_change_that_has_begun_is_finished():
    one = plant()
    one.obey(frozenset({PhaseId(4), PhaseId(8)}))
    one.advance(500)
    _, verdict = ask(one, "ew")
    assert (phases(verdict), verdict.overruled) == ((4, 8), True)
    assert not ask(one, "ns")[1].overruled


def test_maximum_green_counts_from_the_first_conflicting_call():
    one = plant(seconds=45)
    assert phases(ask(one, "ew")[1]) == (2, 6), "nobody waits"
    one.call(PhaseId(4))
    one.advance(39_500)
    memory, verdict = ask(one, "ew")
    assert phases(verdict) == (2, 6)
    one.advance(500)
    _, verdict = ask(one, "ew", memory)
    assert set(phases(verdict)) >= {4}
    assert "maximum green" in verdict.reason


def test_a_phase_that_nobody_calls_is_served_within_the_bound():
    assert service_bound_ms(LAYOUT) == 120_000
    one = plant(seconds=100)
    memory, verdict = ask(one, "ew")
    while phases(verdict) == (2, 6):
        one.advance(500)
        memory, verdict = ask(one, "ew", memory)
        assert one.now_ms < 125_000
    assert set(phases(verdict)) & {4, 8}
    assert "has to be served now" in verdict.reason


@pytest.mark.parametrize("stage", [None, 3, "nowhere", "x" * 10_000, object()])
def test_garbage_holds_what_is_green(stage):
    _, verdict = ask(plant(), stage)
    assert (phases(verdict), verdict.overruled) == ((2, 6), True)


def test_with_nothing_green_garbage_serves_what_has_waited_longest():
    assert phases(ask(Plant(crossing()), "nowhere")[1]) in ((2, 6, 12), (4, 8, 14))


def test_no_command_for_a_controller_that_shows_what_it_must_not():
    one = plant()
    one.aspect[PhaseId(4)] = "green"
    _, verdict = ask(one, "ns")
    assert verdict.command is None
    assert "conflict" in verdict.reason
    other = plant()
    del other.aspect[PhaseId(8)], other.since_ms[PhaseId(8)]
    assert ask(other, "ns")[1].command is None
