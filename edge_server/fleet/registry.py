"""The fleet: which devices there are and how they are, as a function of births, deaths and silence."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from edge_server.fleet.device import Device
from protocol.ids import ApproachId, BootId, CameraId, DeviceId
from protocol.messages import Birth, Death

SILENT_AFTER_MS = 30_000


class Fleet(Struct, frozen=True):
    """own: this edge server. peer: the other one of a pair. heard_mono_ms: when each device was last heard of, by our
    monotonic clock."""

    own: DeviceId
    own_boot: BootId
    devices: Mapping[DeviceId, Device] = {}
    heard_mono_ms: Mapping[DeviceId, int] = {}
    peer: DeviceId | None = None


class Joined(Struct, frozen=True):
    """A device is online. known: it said so before, and nothing happened in between that is worth a line."""

    device: Device
    known: bool


class Left(Struct, frozen=True):
    device: Device


class FellSilent(Struct, frozen=True):
    device: Device


class SpokeAgain(Struct, frozen=True):
    device: Device


class Removed(Struct, frozen=True):
    device: DeviceId


class SecondEdge(Struct, frozen=True):
    """Another edge server speaks on this broker: two would give the signals two masters."""

    device: DeviceId
    same_id: bool


Change = Joined | Left | FellSilent | SpokeAgain | Removed | SecondEdge


def presence(
    fleet: Fleet, message: Birth | Death, received_ms: int, received_mono_ms: int, retained: bool
) -> tuple[Fleet, list[Change]]:
    """A birth or a death. The death of a boot that isn't the device's current one says nothing of the current one."""
    if message.source == fleet.own:
        return fleet, _own_name(fleet, message, retained)
    device = fleet.devices.get(message.source)
    if isinstance(message, Death):
        if device is None or device.boot != message.boot or device.state == "offline":
            return fleet, []
        gone = replace(device, state="offline", reason=message.reason)
        return _with(fleet, gone), [Left(gone)]
    born = Device(
        device=message.source,
        boot=message.boot,
        role=message.role,
        state="online",
        software=message.software,
        name=message.name,
        hardware=message.hardware,
        intersection=message.intersection,
        cameras=message.cameras,
        simulated=message.simulated,
        born_ms=received_ms,
        heard_ms=received_ms,
    )
    fleet = replace(_with(fleet, born), heard_mono_ms={**fleet.heard_mono_ms, born.device: received_mono_ms})
    again = device is not None and device.boot == born.boot and (device.state, device.reason) != ("offline", "will")
    changes: list[Change] = [Joined(born, again)]
    if born.role == "edge" and born.device != fleet.peer:
        changes.append(SecondEdge(born.device, same_id=False))
    return fleet, changes


def heard(fleet: Fleet, last_mono_ms: Mapping[DeviceId, int], now_ms: int) -> tuple[Fleet, list[Change]]:
    """These devices said something; one that was silent is back. One that is offline waits for its birth."""
    devices: dict[DeviceId, Device] = {}
    for device_id in last_mono_ms:
        device = fleet.devices.get(device_id)
        if device is not None and device.state == "silent":
            devices[device_id] = replace(device, state="online", reason="", heard_ms=now_ms)
    known = {device: at for device, at in last_mono_ms.items() if device in fleet.devices}
    fleet = replace(fleet, heard_mono_ms={**fleet.heard_mono_ms, **known})
    if devices:
        fleet = replace(fleet, devices={**fleet.devices, **devices})
    return fleet, [SpokeAgain(device) for device in devices.values()]


def tick(fleet: Fleet, now_ms: int, now_mono_ms: int) -> tuple[Fleet, list[Change]]:
    """Find the devices that are connected and yet say nothing. A vehicle speaks only while it is on its way."""
    silent = {
        device_id: replace(
            device,
            state="silent",
            reason="nothing heard",
            heard_ms=now_ms - (now_mono_ms - fleet.heard_mono_ms[device_id]),
        )
        for device_id, device in fleet.devices.items()
        if device.state == "online"
        and device.role != "vehicle"
        and now_mono_ms - fleet.heard_mono_ms.get(device_id, now_mono_ms) > SILENT_AFTER_MS
    }
    if not silent:
        return fleet, []
    return replace(fleet, devices={**fleet.devices, **silent}), [FellSilent(device) for device in silent.values()]


def remove(fleet: Fleet, device: DeviceId) -> tuple[Fleet, list[Change]]:
    """Somebody cleared the device's registration."""
    if device not in fleet.devices:
        return fleet, []
    devices = {one: known for one, known in fleet.devices.items() if one != device}
    heard_mono_ms = {one: at for one, at in fleet.heard_mono_ms.items() if one != device}
    return replace(fleet, devices=devices, heard_mono_ms=heard_mono_ms), [Removed(device)]


def restored(own: DeviceId, own_boot: BootId, devices: list[Device], peer: DeviceId | None = None) -> Fleet:
    """The fleet as the store knew it: offline, each of them, until the broker says otherwise."""
    offline = {one.device: replace(one, state="offline", reason="not heard since our start") for one in devices}
    return Fleet(own, own_boot, offline, peer=peer)


def cameras_of(fleet: Fleet) -> dict[ApproachId, list[tuple[DeviceId, CameraId]]]:
    """Who watches each approach."""
    found: dict[ApproachId, list[tuple[DeviceId, CameraId]]] = {}
    for device in fleet.devices.values():
        for camera in device.cameras:
            if camera.approach is not None:
                found.setdefault(camera.approach, []).append((device.device, camera.camera))
    return found


def _with(fleet: Fleet, device: Device) -> Fleet:
    return replace(fleet, devices={**fleet.devices, device.device: device})


def _own_name(fleet: Fleet, message: Birth | Death, retained: bool) -> list[Change]:
    """Our own birth comes back to us, and so may that of our earlier run, retained; any other is a second edge's."""
    if message.boot == fleet.own_boot or retained or isinstance(message, Death):
        return []
    return [SecondEdge(message.source, same_id=True)]
