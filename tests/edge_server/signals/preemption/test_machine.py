"""The written rules of pre-emption, one test each."""

from __future__ import annotations

import pytest

from edge_server.signals.preemption.events import Answer, Ended, Granted, HandEnded, Higher, Recovering, Refused
from edge_server.signals.preemption.machine import step
from protocol.preemption import PreemptionRules, RoleRule
from tests.edge_server.signals.preemption.preemption_kit import EAST, NORTH, SOUTH, Story


def endings(story: Story) -> list[tuple[str, str]]:
    return [(one.vehicle, one.ending) for one in story.effects if isinstance(one, Ended)]


def test_a_request_near_its_arrival_is_granted_and_an_early_one_waits():
    story = Story()
    assert story.ask(arrives_in_ms=45_000).status == "requested"
    assert story.holder is None
    story.at_ms += 2_000
    assert story.ask(arrives_in_ms=29_000).status == "granted"
    assert story.holder == "ambulance-1"
    assert story.state.holder.phases == (4,)


def test_a_lease_that_is_not_renewed_lapses():
    story = Story()
    story.ask()
    story.wait(4.5)
    assert story.holder == "ambulance-1"
    story.wait(0.5)
    assert story.holder is None
    assert endings(story) == [("ambulance-1", "lapsed")]


def test_a_renewed_lease_ends_at_its_cap_and_its_vehicle_is_locked_out():
    story = Story()
    story.hold(60, ("ambulance-1", NORTH))
    assert endings(story) == [("ambulance-1", "cap")]
    answer = story.ask()
    assert (answer.status, answer.reason) == ("maxPresence", "locked-out")
    story.wait(50, heard=True)
    assert story.ask().status == "granted"


def test_letting_a_lease_lapse_does_not_lengthen_the_cap():
    story = Story()
    story.hold(50, ("ambulance-1", NORTH))
    story.wait(5, heard=True)
    assert story.holder is None
    story.ask()
    story.wait(2, heard=True)
    assert story.ask().status == "reserviceLocked"
    assert story.holder is None, "55 s of 60 are used, and lock-out and recovery come first"


def test_a_vehicle_that_has_passed_lets_go_and_the_longest_starved_is_served_first():
    story = Story()
    story.ask()
    assert story.cancel().status == "unknown"
    assert endings(story) == [("ambulance-1", "passed")]
    assert Recovering(True) in story.effects
    story.wait(0.5, heard=True, red_ms={2: 9_000, 6: 31_000, 8: 90_000})
    assert story.state.recovery.owed == 6, "8 runs beside the vehicle's own phase and was not starved by it"
    story.wait(3, heard=True, red_ms={2: 12_000, 6: 34_000})
    assert story.state.recovery is not None
    story.wait(0.5, heard=True, serving=(2, 6))
    assert story.state.recovery is None
    assert story.effects[-1] == Recovering(False)


def test_a_recovery_ends_by_itself_when_nobody_waits_or_nobody_hears():
    story = Story()
    story.ask()
    story.cancel()
    story.wait(0.5, heard=True)
    assert story.state.recovery is None
    other = Story()
    other.ask()
    other.cancel()
    other.wait(39.5)
    assert other.state.recovery is not None
    other.wait(0.5)
    assert other.state.recovery is None


def test_who_comes_in_the_lock_out_waits_for_its_end():
    story = Story()
    story.ask()
    story.cancel()
    story.wait(1, heard=True)
    assert story.ask("police-1", EAST).status == "reserviceLocked"
    story.hold(8, ("police-1", EAST), heard=True)
    assert story.holder is None
    story.hold(2, ("police-1", EAST), heard=True)
    assert story.holder == "police-1"


def test_between_equals_from_conflicting_approaches_the_holder_keeps_and_then_the_earlier_arrival_follows():
    story = Story()
    story.ask("ambulance-1", NORTH)
    assert story.ask("ambulance-2", EAST, arrives_in_ms=9_000).status == "watchOtherTraffic"
    assert story.ask("fire-engine-1", EAST, arrives_in_ms=4_000).status == "watchOtherTraffic"
    assert story.holder == "ambulance-1"
    story.cancel("ambulance-1")
    assert story.holder == "fire-engine-1"
    assert not any(isinstance(one, Recovering) for one in story.effects), "the run of leases goes on"


def test_equal_in_all_but_the_name_goes_by_the_name():
    for first, second in (("ambulance-1", "ambulance-2"), ("ambulance-2", "ambulance-1")):
        story = Story()
        story.tell(Higher(at_ms=story.at_ms, source="railway", kind="railway", active=True))
        story.ask(first, NORTH)
        story.ask(second, EAST)
        story.tell(Higher(at_ms=story.at_ms, source="railway", kind="railway", active=False))
        assert story.holder == "ambulance-1"


def test_a_higher_importance_takes_the_lease_and_gives_it_back():
    story = Story()
    story.ask("police-1", NORTH)
    story.wait(3)
    assert story.ask("ambulance-1", EAST).status == "granted"
    assert story.ask("police-1", NORTH).status == "watchOtherTraffic"
    story.cancel("ambulance-1")
    assert story.holder == "police-1"
    assert story.state.holder.used_ms == 3_000
    assert story.state.holder.until_ms == story.at_ms + 57_000


def test_a_higher_importance_beside_the_holder_takes_nothing():
    story = Story()
    story.ask("police-1", NORTH)
    assert story.ask("ambulance-1", SOUTH).status == "processing"
    assert story.holder == "police-1"


def test_leases_follow_one_another_only_until_the_run_is_over():
    story = Story()
    names = [("ambulance-1", NORTH), ("ambulance-2", EAST), ("ambulance-3", NORTH)]
    story.hold(60, *names)
    assert story.holder == "ambulance-2"
    story.hold(30, *names[1:])
    assert story.holder is None, "90 s of leases: now it is the others' turn"
    assert story.state.recovery is not None


def test_a_claim_never_exceeds_its_roles_importance():
    story = Story()
    story.ask("police-1", NORTH, importance=14)
    assert story.state.holder.rank == 12
    story.ask("police-2", EAST, importance=3)
    assert story.state.queue[0].rank == 3


def test_a_bus_yields_to_any_emergency_vehicle_and_owes_no_recovery():
    story = Story()
    assert story.ask("bus-1", NORTH).status == "granted"
    assert story.ask("police-1", NORTH, importance=1).status == "granted"
    assert story.ask("bus-1", NORTH).status == "reserviceLocked"
    other = Story()
    other.ask("bus-1", NORTH)
    other.cancel("bus-1")
    assert other.state.recovery is None
    assert other.ask("freight-1", EAST).status == "reserviceLocked"
    assert other.ask("police-1", EAST).status == "granted"


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"proof": "forged"}, "forged"),
        ({"proof": "unsigned"}, "unsigned"),
        ({"proof": "unknown-vehicle"}, "unknown-vehicle"),
        ({"off_ms": -10_001}, "expired"),
        ({"off_ms": 180_000}, "clock-ahead"),
        ({"role": "bus"}, "role-not-allowed"),
        ({"on_shift": False}, "off-shift"),
        ({"approach": "nowhere"}, "no-such-route"),
        ({"egress": "nowhere"}, "no-such-route"),
        ({"evidence": ()}, "no-evidence"),
        ({"evidence": ("siren",)}, "no-evidence"),
    ],
)
def test_what_breaks_a_written_rule_is_refused_by_its_name(fields, refusal):
    story = Story(roles={"ambulance": ("preempt", 14)})
    if fields.get("proof"):
        story.state, effects = step(story.state, _request(story, **fields))
        assert effects == (Refused("ambulance-1", 0, refusal),), "whoever it was gets no answer in the vehicle's name"
        assert story.state == Story(roles={"ambulance": ("preempt", 14)}).state
        return
    assert story.ask(**fields).status == "rejected"
    assert [one.refusal for one in story.effects if isinstance(one, Refused)] == [refusal]
    assert story.holder is None


def _request(story: Story, **fields):
    from edge_server.signals.preemption.events import Request  # noqa: PLC0415

    return Request(at_ms=story.at_ms, vehicle="ambulance-1", role="ambulance", approach=NORTH, sequence=1, **fields)


def test_a_repetition_changes_nothing_and_a_replay_is_refused():
    story = Story()
    story.ask(sequence=7)
    before = story.state
    assert story.ask(sequence=7, request=0).status == "granted"
    assert story.state == before
    for sequence in (6, 7):
        answer = story.ask(sequence=sequence, arrives_in_ms=1_234)
        assert (answer.status, answer.reason) == ("granted", "replayed")
    assert story.state == before


def test_a_cancellation_that_is_repeated_does_not_cancel_the_next_request():
    story = Story()
    story.ask(sequence=1)
    story.cancel(sequence=2)
    story.wait(30, heard=True)
    story.ask(sequence=3)
    assert story.cancel(sequence=2).reason == "replayed"
    assert story.holder == "ambulance-1"


def test_too_many_new_requests_within_an_hour_are_refused_and_renewals_dont_count():
    story = Story(requests_per_hour=2)
    for _ in range(2):
        story.hold(6, ("ambulance-1", NORTH))
        story.cancel()
        story.wait(15, heard=True)
    assert story.ask().reason == "too-often"
    story.at_ms += 3_600_000
    assert story.ask().status == "granted"


def test_a_full_queue_refuses_whoever_ranks_last():
    story = Story()
    story.ask("ambulance-1", NORTH)
    for vehicle in ("police-1", "police-2", "police-3"):
        story.ask(vehicle, EAST)
    assert story.ask("bus-1", EAST).reason == "queue-full"
    story.ask("ambulance-2", EAST)
    assert [claim.vehicle for claim in story.state.queue] == ["ambulance-2", "police-1", "police-2"]
    assert Answer("police-3", 0, "rejected", "queue-full") in story.effects


@pytest.mark.parametrize("kind", ["railway", "bridge", "other-system"])
def test_what_outranks_us_ends_what_we_hold_and_is_never_overridden(kind):
    story = Story()
    story.ask()
    story.wait(2)
    story.tell(Higher(at_ms=story.at_ms, source="crossing-7", kind=kind, active=True))
    assert story.holder is None
    assert endings(story) == [("ambulance-1", "outranked")]
    assert story.ask().status == "watchOtherTraffic"
    story.hold(20, ("ambulance-1", NORTH), ("ambulance-2", EAST))
    assert story.holder is None
    story.tell(Higher(at_ms=story.at_ms, source="crossing-7", kind=kind, active=False))
    assert story.holder == "ambulance-1"
    assert story.state.holder.used_ms == 2_000


def test_a_person_ends_a_lease_and_its_vehicle_is_locked_out():
    story = Story()
    story.ask()
    story.tell(HandEnded(at_ms=story.at_ms, vehicle="ambulance-1", by="anna", reason="drill is over"))
    assert endings(story) == [("ambulance-1", "by-hand")]
    assert story.ask().reason == "locked-out"


def test_a_vehicle_that_comes_another_way_begins_anew_with_what_is_left():
    story = Story()
    story.hold(10, ("ambulance-1", NORTH))
    story.ask("ambulance-1", EAST)
    assert endings(story) == [("ambulance-1", "rerouted")]
    assert story.state.holder.phases == (2,)
    assert story.state.holder.until_ms == story.at_ms + 50_000


def test_a_camera_alone_calls_and_does_not_preempt_unless_the_site_says_so():
    story = Story()
    story.observe()
    assert story.holder is None
    assert story.state.sightings[NORTH].phases == (4,)
    story.wait(5)
    assert story.state.sightings == {}
    allowed = Story(camera_preempts=True)
    allowed.observe()
    assert allowed.holder == "camera:north-n"
    assert allowed.ask("police-1", EAST, importance=1).status == "granted", "who says who they are comes first"


def test_a_camera_that_never_lets_go_ends_at_the_cap():
    story = Story(camera_preempts=True)
    held = 0
    for _ in range(80):
        story.observe()
        story.wait(1, heard=True, red_ms={2: 1})
        held += story.holder is not None
    assert ("camera:north-n", "cap") in endings(story)
    assert held == 59
    story.observe(asks=False)
    assert story.state.normal or story.state.recovery is not None


def test_every_grant_says_until_when():
    story = Story()
    story.ask()
    assert story.effects[0] == Granted("ambulance-1", 0, NORTH, story.at_ms + 60_000, "preempt")


def test_an_allow_list_without_a_role_refuses_it():
    rules = PreemptionRules(roles=(RoleRule(role="police", level="preempt", rank=3),))
    story = Story(roles={rule.role: (rule.level, rule.rank) for rule in rules.roles})
    assert story.ask("ambulance-1").reason == "role-not-allowed"
    assert story.ask("police-1").status == "granted"
