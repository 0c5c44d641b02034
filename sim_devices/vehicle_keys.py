"""The keys with which the simulated city's emergency vehicles ask for the signals.

They are entered in the state folder's vehicles.toml as simulated: an edge server believes them only where every
controller is simulated.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives import serialization as how
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_server.signals.preemption.vehicles import (
    FILE_NAME,
    VehicleEntry,
    VehicleFile,
    changing,
    read_file,
    write_file,
)
from node.trust.keys import write_private
from protocol.ids import DeviceId
from sim_devices.vehicles import fleet_devices

FOLDER = "vehicle-keys"


def enter_fleet(home: Path) -> None:
    """Make a key for each vehicle that has none, and enter it; an entry of somebody else's by that name stays, and that
    vehicle is then not believed. Raises VehicleKeysUnusable (KF320)."""
    with changing(home / FILE_NAME):
        _enter(home)


def _enter(home: Path) -> None:
    path = home / FILE_NAME
    known = read_file(path)
    entries = {one.id: one for one in known.vehicle}
    for device in fleet_devices():
        if device in entries and not entries[device].simulated:
            continue
        key = _key(home, device) or _make(home, device)
        raw = key.public_key().public_bytes(how.Encoding.Raw, how.PublicFormat.Raw)
        entries[device] = VehicleEntry(
            id=device,
            role=device.rpartition("-")[0],  # type: ignore[arg-type]
            key=base64.b64encode(raw).decode("ascii"),
            simulated=True,
            note="of the simulated city",
        )
    found = VehicleFile(tuple(entries.values()))
    if found != known:
        write_file(path, found)


def fleet_keys(home: Path, devices: Iterable[DeviceId]) -> dict[DeviceId, Ed25519PrivateKey]:
    """Of those that have one."""
    return {device: key for device in devices if (key := _key(home, device)) is not None}


def _path(home: Path, device: DeviceId) -> Path:
    return home / "sim" / FOLDER / f"{device}.key"


def _key(home: Path, device: DeviceId) -> Ed25519PrivateKey | None:
    try:
        key = how.load_pem_private_key(_path(home, device).read_bytes(), None)
    except (OSError, ValueError):
        return None
    return key if isinstance(key, Ed25519PrivateKey) else None


def _make(home: Path, device: DeviceId) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    path = _path(home, device)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, key.private_bytes(how.Encoding.PEM, how.PrivateFormat.PKCS8, how.NoEncryption()))
    return key
