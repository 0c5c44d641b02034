"""Each command that must not be obeyed is refused, by name."""

from __future__ import annotations

import msgspec
import pytest

from edge_server.cabinet.wire import EpochTaken, Received, Report
from node.clock import ManualClock
from node.identity import Identity
from protocol.ids import BootId, DeviceId
from protocol.messages import SignalCommand
from sim_devices.controller import core
from sim_devices.controller.core import Injected, State, Tick
from sim_devices.controller.wiring import Wiring
from tests.edge_server.signals.signal_sites import crossing

BOOT = BootId("00000000000000aa")
CLOCK = ManualClock()
EDGE = Identity(DeviceId("edge-a"), CLOCK)
OTHER = Identity(DeviceId("edge-b"), CLOCK)


def controller(highest_epoch: int = 4) -> State:
    state = core.boot(Wiring.of(crossing()), BOOT, 0, highest_epoch)
    return core.step(state, Tick(500))[0]


def command(state: State, edge: Identity = EDGE, **changes: object) -> SignalCommand:
    fields = {
        "intersection": "north",
        "phases": (4, 8),
        "heartbeat": state.counter,
        "heartbeat_boot": BOOT,
        "lease_ms": 3_000,
        "epoch": 5,
        "controller": "test",
        "reason": "test",
    }
    return SignalCommand(**edge.live(), **{**fields, **changes})


def receive(state: State, one: SignalCommand) -> tuple[State, str | None]:
    state, effects = core.step(state, Received(one))
    report = next(effect for effect in effects if isinstance(effect, Report))
    assert report.last_command is not None
    assert report.last_command.command == one.id, "the answer is sent at once"
    return state, report.last_command.refusal


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({}, None),
        ({"intersection": "south"}, "foreign-intersection"),
        ({"heartbeat_boot": BootId("00000000000000bb")}, "stale-heartbeat"),
        ({"heartbeat": 0}, "stale-heartbeat"),
        ({"heartbeat": 999}, "stale-heartbeat"),
        ({"lease_ms": 10_001}, "lease-too-long"),
        ({"phases": (4, 99)}, "unknown-phase"),
        ({"phases": (2, 4)}, "conflicting-phases"),
        ({"epoch": 3}, "lower-epoch"),
        ({"epoch": 4}, "lower-epoch"),
        ({"epoch": 1_004}, None),
        ({"epoch": 1_005}, "epoch-too-high"),
        ({"epoch": (1 << 53) - 1}, "epoch-too-high"),
    ],
)
def test_a_first_command(changes, refusal):
    state, said = receive(controller(), command(controller(), **changes))
    assert said == refusal
    assert state.control == ("edge" if refusal is None else "local")


def test_a_late_command_is_stale_though_everything_else_is_right():
    state = controller()
    late = command(state)
    for _ in range(16):
        state, _ = core.step(state, Tick(100))
    assert receive(state, late)[1] == "stale-heartbeat"


def test_a_repeated_command_and_one_overtaken_by_a_newer():
    state = controller()
    first, second = command(state), command(state, phases=(2, 6))
    state, said = receive(state, second)
    assert said is None
    assert receive(state, second)[1] == "repeated"
    assert receive(state, first)[1] == "repeated"


def test_another_edge_is_refused_while_the_lease_runs_and_taken_above_every_epoch():
    state, _ = receive(controller(), command(controller()))
    assert receive(state, command(state, OTHER))[1] == "held-by-another"
    assert receive(state, command(state, OTHER, epoch=4))[1] == "lower-epoch"
    state, said = receive(state, command(state, OTHER, epoch=6))
    assert said is None
    assert receive(state, command(state))[1] == "lower-epoch"


def test_an_epoch_dies_with_its_lease():
    state, _ = receive(controller(), command(controller()))
    for _ in range(31):
        state, _ = core.step(state, Tick(100))
    assert state.control == "local"
    assert receive(state, command(state))[1] == "lower-epoch"
    assert receive(state, command(state, epoch=6))[1] is None


def test_a_lease_is_renewed_under_its_epoch():
    state = controller()
    for _ in range(10):
        state, said = receive(state, command(state))
        assert said is None
        for _ in range(10):
            state, _ = core.step(state, Tick(100))
    assert state.control == "edge"


def test_a_controller_in_flash_takes_nothing():
    state, _ = core.step(core.step(controller(), Tick(1_000))[0], Injected("conflict"))
    assert state.control == "flash"
    assert receive(state, command(state))[1] == "fault"


def test_a_new_epoch_is_to_be_written_down_before_anything_else():
    _, effects = core.step(controller(), Received(command(controller())))
    assert effects[0] == EpochTaken(5)


def test_a_lease_that_is_longer_than_the_wire_allows_does_not_even_decode():
    text = msgspec.json.encode(command(controller(), lease_ms=10_001))
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=SignalCommand)


def walking(state: State, seconds: float) -> State:
    """Phase 12 shows walk for so long, under a lease; the last heartbeat is fresh."""
    state, refusal = receive(state, command(state, phases=(2, 6, 12)))
    assert refusal is None
    while state.aspects[12] != "walk":
        state = core.step(state, Tick(100))[0]
    for _ in range(round(seconds * 10)):
        state = core.step(state, Tick(100))[0]
    return state


@pytest.mark.parametrize(("cuts_walk", "walk_s"), [(True, 4.0), (False, 5.0)])
def test_a_command_that_may_cut_walk_leaves_four_seconds_of_it_and_all_of_its_clearance(cuts_walk, walk_s):
    state = walking(controller(), 1.0)
    state, refusal = receive(state, command(state, phases=(2, 6), cuts_walk=cuts_walk, lease_ms=10_000))
    assert refusal is None
    shown = {"walk": 1.0, "pedestrian-clearance": 0.0}
    while state.aspects[12] != "red":
        shown[state.aspects[12]] += 0.1
        state = core.step(state, Tick(100))[0]
    assert shown == {"walk": pytest.approx(walk_s), "pedestrian-clearance": pytest.approx(8.0)}


def test_the_right_to_cut_walk_ends_with_the_lease():
    state = walking(controller(), 0.0)
    state, _ = receive(state, command(state, phases=(2, 6), cuts_walk=True, lease_ms=1_000))
    for _ in range(42):
        state = core.step(state, Tick(100))[0]
    assert state.control == "local"
    assert state.aspects[12] == "walk"
