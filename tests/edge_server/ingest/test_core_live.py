"""What may be acted upon, and what is history."""

from __future__ import annotations

from edge_server.ingest.core import LIMIT_BOOTS, LIMIT_RANGES, Arrival, State, absorb
from edge_server.ingest.effects import Acknowledge, MissingChanged, StoreAlarm, StoreObservation, Tally
from node.clock import ManualClock
from protocol.messages import Message

HOUR_MS = 3_600_000


def arrive(state: State, clock: ManualClock, *messages: Message, retained: bool = False) -> tuple[State, list]:
    return absorb(state, [Arrival(one, clock.wall_ms(), clock.monotonic_ms(), retained) for one in messages])


def observed(effects: list) -> list[StoreObservation]:
    return [one for one in effects if isinstance(one, StoreObservation)]


def test_an_observation_that_waited_in_an_outbox_is_history(make_device, clock: ManualClock) -> None:
    device = make_device(clock=clock)
    state, _ = arrive(State(), clock, device.birth())
    waiting = [device.observation() for _ in range(3)]
    clock.advance(HOUR_MS)
    state, effects = arrive(state, clock, *waiting, device.observation())
    assert [one.live for one in observed(effects)] == [False, False, False, True]
    assert all(abs(one.age_ms - HOUR_MS) < 1_000 for one in observed(effects)[:3])


def test_a_wrong_wall_clock_changes_nothing(make_device, clock: ManualClock) -> None:
    theirs = ManualClock(monotonic_ms=77, wall_ms=0)
    device = make_device(clock=theirs)
    state, _ = arrive(State(), clock, device.birth())
    for _ in range(5):
        theirs.advance(500)
        clock.advance(500)
        state, effects = arrive(state, clock, device.observation())
        assert observed(effects)[0].live


def test_an_earlier_boot_is_never_live(make_device, clock: ManualClock) -> None:
    earlier, now = make_device(clock=clock), make_device(clock=clock)
    late = earlier.observation()
    clock.advance(HOUR_MS)
    state, _ = arrive(State(), clock, now.birth())
    state, effects = arrive(state, clock, late, now.observation())
    assert [one.live for one in observed(effects)] == [False, True]


def test_after_our_restart_nothing_is_live_until_the_device_clock_is_known(make_device, clock: ManualClock) -> None:
    device = make_device(clock=clock)
    birth, waiting = device.birth(), device.observation()
    clock.advance(HOUR_MS)
    state, _ = arrive(State(), clock, birth, retained=True)
    state, effects = arrive(state, clock, waiting)
    assert not observed(effects)[0].live
    live = []
    for _ in range(10):
        clock.advance(500)
        state, effects = arrive(state, clock, device.observation())
        live.append(observed(effects)[0].live)
    assert live[0] is False
    assert live[-1] is True


def test_one_that_is_overtaken_by_a_newer_one_of_its_camera_is_history(make_device, clock: ManualClock) -> None:
    device = make_device(clock=clock)
    state, _ = arrive(State(), clock, device.birth())
    older = device.observation()
    clock.advance(100)
    newer = device.observation()
    state, effects = arrive(state, clock, newer, older)
    assert [one.live for one in observed(effects)] == [True, False]


def test_a_repeated_message_is_acknowledged_again_and_not_stored_again(make_device, clock: ManualClock) -> None:
    device = make_device(clock=clock)
    alarm = device.alarm()
    state, first = arrive(State(), clock, alarm)
    _, again = arrive(state, clock, alarm, alarm)
    acks = [Acknowledge(device.name, device.identity.boot, ((1, 1),))]
    assert [one for one in first if isinstance(one, Acknowledge)] == acks
    assert [one for one in again if isinstance(one, Acknowledge)] == acks
    assert not [one for one in again if isinstance(one, StoreAlarm)]
    assert Tally(0, 2) in again


def test_memory_is_bounded_and_what_is_forgotten_is_on_record(make_device, clock: ManualClock) -> None:
    device = make_device(clock=clock)
    every_other = [device.alarm() for _ in range(4 * LIMIT_RANGES)][::2]
    state, reported = State(), ()
    for at in range(0, len(every_other), 100):
        state, effects = arrive(state, clock, *every_other[at : at + 100])
        reported = next((one.ranges for one in effects if isinstance(one, MissingChanged)), reported)
    boot = state.boots[device.name, device.identity.boot]
    assert len(boot.received) <= LIMIT_RANGES
    assert boot.floor > 0
    assert boot.reported == reported
    below = {number for first, last in reported for number in range(first, last + 1)}
    assert below == {number for number in range(1, boot.floor + 1) if number % 2 == 0}


def test_old_boots_are_retired_and_still_acknowledged(make_device, clock: ManualClock) -> None:
    boots = [make_device(clock=clock) for _ in range(LIMIT_BOOTS + 3)]
    state = State()
    for device in boots:
        clock.advance(1_000)
        state, _ = arrive(state, clock, device.birth(), device.alarm())
    assert len([key for key in state.boots if key[0] == boots[0].name]) == LIMIT_BOOTS
    state, effects = arrive(state, clock, boots[0].alarm())
    assert [one.boot for one in effects if isinstance(one, Acknowledge)] == [boots[0].identity.boot]
    assert [one for one in effects if isinstance(one, StoreAlarm)]
