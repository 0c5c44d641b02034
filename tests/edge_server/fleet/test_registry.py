from __future__ import annotations

import msgspec

from edge_server.fleet import registry
from edge_server.fleet.registry import FellSilent, Fleet, Joined, Left, Removed, SecondEdge, SpokeAgain
from node.clock import ManualClock
from node.identity import Identity
from protocol.ids import BootId, DeviceId
from protocol.messages import Birth, Death

OWN = Identity(DeviceId("edge-own"), ManualClock())


def fresh() -> Fleet:
    return Fleet(OWN.device, OWN.boot)


def hear(fleet: Fleet, message: Birth | Death, retained: bool = False, at_ms: int = 1_000) -> tuple[Fleet, list]:
    return registry.presence(fleet, message, at_ms, at_ms, retained)


def death(identity: Identity, reason: str = "will") -> Death:
    return Death(**identity.live(), reason=reason)  # type: ignore[arg-type]


def edge_birth(identity: Identity) -> Birth:
    return Birth(**identity.live(), role="edge", software="1")


def test_a_birth_registers_and_a_will_marks_offline(device) -> None:
    fleet, changes = hear(fresh(), device.birth())
    assert [type(one) for one in changes] == [Joined]
    assert fleet.devices[device.name].state == "online"
    assert registry.cameras_of(fleet) == {"north": [("cam-1", "north-1")]}
    fleet, changes = hear(fleet, death(device.identity))
    assert [type(one) for one in changes] == [Left]
    assert fleet.devices[device.name].state == "offline"


def test_a_late_will_of_an_earlier_boot_buries_nobody(make_device) -> None:
    earlier, now = make_device(), make_device()
    fleet, _ = hear(fresh(), earlier.birth())
    fleet, _ = hear(fleet, now.birth())
    after, changes = hear(fleet, death(earlier.identity))
    assert changes == []
    assert after.devices[now.name].state == "online"


def test_silence_is_noticed_and_forgiven(device) -> None:
    fleet, _ = hear(fresh(), device.birth(), at_ms=1_000)
    fleet, changes = registry.tick(fleet, 2_000, 2_000)
    assert changes == []
    late_ms = 2_000 + registry.SILENT_AFTER_MS
    fleet, changes = registry.tick(fleet, late_ms, late_ms)
    assert [type(one) for one in changes] == [FellSilent]
    fleet, changes = registry.heard(fleet, {device.name: late_ms + 5}, late_ms + 5)
    assert [type(one) for one in changes] == [SpokeAgain]
    assert fleet.devices[device.name].state == "online"


def test_a_parked_vehicle_is_not_missed(device) -> None:
    vehicle = msgspec.structs.replace(device.birth(), role="vehicle")
    fleet, _ = hear(fresh(), vehicle)
    _, changes = registry.tick(fleet, 2_000_000, 2_000_000 + registry.SILENT_AFTER_MS)
    assert changes == []


def test_clearing_the_registration_removes(device) -> None:
    fleet, _ = hear(fresh(), device.birth())
    fleet, changes = registry.remove(fleet, device.name)
    assert changes == [Removed(device.name)]
    assert device.name not in fleet.devices
    assert registry.remove(fleet, device.name)[1] == []


def test_a_second_edge_server_is_noticed_and_our_own_past_is_not() -> None:
    other = Identity(DeviceId("edge-other"), ManualClock())
    _, changes = hear(fresh(), edge_birth(other))
    assert SecondEdge(other.device, same_id=False) in changes
    assert hear(fresh(), edge_birth(OWN))[1] == []
    earlier_run = Identity(OWN.device, ManualClock())
    assert hear(fresh(), edge_birth(earlier_run), retained=True)[1] == []
    assert hear(fresh(), edge_birth(earlier_run))[1] == [SecondEdge(OWN.device, same_id=True)]


def test_after_our_restart_a_retained_birth_is_no_news(device) -> None:
    fleet, _ = hear(fresh(), device.birth())
    again = registry.restored(OWN.device, BootId("f" * 16), list(fleet.devices.values()))
    assert again.devices[device.name].state == "offline"
    again, changes = hear(again, device.birth(), retained=True)
    assert [one.known for one in changes] == [True]
    assert again.devices[device.name].state == "online"
