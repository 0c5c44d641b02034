"""The planner's laws: nested and stable stages, nobody asked twice, nothing asked while it is paused, and an end."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from edge_server.updates import rollout as module
from edge_server.updates.rollout import (
    PATIENCE_MS,
    Member,
    Rollout,
    Seen,
    act,
    answered,
    chosen,
    not_asked,
    on_its_way,
    plan,
)

NEW, OLD = "1.1", "1.0"
names = st.integers(0, 400).map(lambda number: f"pi-{number}")
fleets = st.dictionaries(
    names, st.builds(Seen, present=st.booleans(), version=st.sampled_from([OLD, NEW, None])), max_size=60
)
ids = st.text("0123456789abcdef", min_size=4, max_size=4)


def begun(name: str = "r1", **more: object) -> Rollout:
    return Rollout(id=name, version=NEW, started_ms=0, **more)


def everybody(count: int, version: str = OLD) -> dict[str, Seen]:
    return {f"pi-{number}": Seen(present=True, version=version) for number in range(count)}


def tell(rollout: Rollout, device: str, successful: bool, reason: str = "") -> Rollout:
    rollout = on_its_way(rollout, device, f"c-{device}")
    return answered(rollout, device, f"c-{device}", successful, reason)


@given(ids, fleets)
def test_stages_are_nested_and_stable(name: str, fleet: Mapping[str, Seen]) -> None:
    stages = [chosen(begun(name, stage=stage), fleet) for stage in range(3)]
    assert stages[0] <= stages[1] <= stages[2] == fleet.keys()
    assert stages == [chosen(begun(name, stage=stage), dict(reversed(fleet.items()))) for stage in range(3)]
    if fleet:
        assert stages[0]


def test_a_stage_holds_about_its_share() -> None:
    fleet = everybody(10_000)
    assert 50 <= len(chosen(begun(), fleet)) <= 150
    assert 900 <= len(chosen(begun(stage=1), fleet)) <= 1_100
    assert chosen(begun("other"), fleet) != chosen(begun(), fleet)


@given(ids, fleets, st.data())
def test_whatever_devices_answer_nobody_is_asked_twice_and_nobody_out_of_turn(
    name: str, fleet: dict[str, Seen], data: st.DataObject
) -> None:
    rollout, asked = begun(name), set()
    for _ in range(12):
        before = rollout
        rollout, asks = plan(rollout, fleet, 0)
        for ask in asks:
            assert ask.device not in asked
            assert ask.device in chosen(rollout, fleet)
            assert fleet[ask.device].present
            assert fleet[ask.device].version != NEW
            assert before.status == "running"
            asked.add(ask.device)
        assert rollout.stage >= before.stage
        for device, member in list(rollout.members.items()):
            if member.state == "asked" and data.draw(st.booleans()):
                rollout = tell(rollout, device, data.draw(st.booleans()), "crashed: it did")
        if data.draw(st.booleans()):
            rollout = act(rollout, data.draw(st.sampled_from(["pause", "resume"])), "somebody")
        if fleet and data.draw(st.booleans()):
            device = data.draw(st.sampled_from(sorted(fleet)))
            fleet = {**fleet, device: Seen(present=data.draw(st.booleans()), version=fleet[device].version)}


@given(ids, st.integers(1, 60))
def test_where_everything_works_everybody_has_it_in_the_end(name: str, count: int) -> None:
    rollout, fleet = begun(name), everybody(count)
    for _ in range(10):
        rollout, asks = plan(rollout, fleet, 0)
        for ask in asks:
            rollout = tell(rollout, ask.device, successful=True)
            fleet = {**fleet, ask.device: Seen(present=True, version=NEW)}
    assert rollout.status == "done"
    assert all(one.version == NEW for one in fleet.values())


@given(ids, st.integers(1, 60))
def test_a_version_that_always_fails_stays_with_the_first_stage(name: str, count: int) -> None:
    rollout, fleet = begun(name), everybody(count)
    for _ in range(6):
        rollout, asks = plan(rollout, fleet, 0)
        for ask in asks:
            rollout = tell(rollout, ask.device, False, "camera-lost: the camera is stalled")
    assert rollout.status == "paused"
    assert rollout.stage == 0
    assert rollout.members.keys() <= chosen(rollout, fleet)
    assert "camera-lost" in rollout.why


def test_a_stage_waits_for_every_commit_and_for_one_at_least() -> None:
    fleet = everybody(300)
    rollout, asks = plan(begun(), fleet, 0)
    assert 1 < len(asks) < 10
    for ask in asks[:-1]:
        rollout = tell(rollout, ask.device, successful=True)
        fleet[ask.device] = Seen(present=True, version=NEW)
        rollout, more = plan(rollout, fleet, 1)
        assert (more, rollout.stage) == ((), 0)
    rollout = tell(rollout, asks[-1].device, successful=True)
    rollout, more = plan(rollout, fleet, 2)
    assert rollout.stage == 1
    assert more
    away = {device: Seen(present=False, version=OLD) for device in fleet}
    assert plan(begun(), away, 0) == (begun(), ())


def test_a_pause_asks_nobody_and_a_resume_forgives_what_was() -> None:
    fleet = everybody(30)
    rollout, asks = plan(begun(), fleet, 0)
    rollout = tell(rollout, asks[0].device, False, "hung: it said nothing")
    rollout, more = plan(rollout, fleet, 1)
    assert (rollout.status, more) == ("paused", ())
    rollout = act(rollout, "resume", "ada")
    fleet[asks[0].device] = Seen(present=True, version=NEW)
    rollout, more = plan(rollout, fleet, 2)
    assert (rollout.status, rollout.stage) == ("running", 1)
    assert more
    over = act(rollout, "abort", "ada")
    assert plan(over, fleet, 3) == (over, ())
    assert act(over, "resume", "ada") == over


def test_who_never_comes_back_has_failed() -> None:
    rollout, asks = plan(begun(), everybody(1), 0)
    assert plan(rollout, everybody(1), PATIENCE_MS)[0].status == "running"
    rollout, _ = plan(rollout, everybody(1), PATIENCE_MS + 1)
    assert rollout.status == "paused"
    assert rollout.members[asks[0].device].code == "silent"


def test_words_on_another_command_change_nothing_and_a_lost_question_is_asked_again() -> None:
    rollout, asks = plan(begun(), everybody(1), 0)
    device = asks[0].device
    assert answered(on_its_way(rollout, device, "c1"), device, "c2", True, "").members[device].state == "asked"
    assert answered(rollout, "pi-99", "c2", True, "") == rollout
    again, asks = plan(not_asked(rollout, device), everybody(1), 1)
    assert [ask.device for ask in asks] == [device]
    assert again.members == {device: Member(state="asked", asked_ms=1)}


def test_a_failure_is_read_as_code_and_text() -> None:
    rollout, asks = plan(begun(), everybody(1), 0)
    failed = tell(rollout, asks[0].device, False, "camera-lost: the camera cam-1 is stalled").members[asks[0].device]
    assert (failed.code, failed.reason) == ("camera-lost", "the camera cam-1 is stalled")
    assert replace(rollout, stage=7).percent == module.STAGES_PERCENT[-1]
