"""The key file of vehicles, vehicles.toml, with a version for each vehicle: a change at either edge server goes to
both.

Somebody changes it with `kinflow edge vehicle` or an editor; what is another entry than before shows by its digest,
which stands beside the file with the version. As with accounts, what was changed more often is newer, then what was
changed later. An entry that was taken out is gone on both; a file that is missing is lost, and comes back from the
other one.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from edge_server.signals.preemption.vehicles import (
    FILE_NAME,
    VehicleEntry,
    VehicleFile,
    changing,
    read_file,
    write_file,
)
from node.trust.keys import write_whole
from protocol.ids import SLUG_PATTERN

BESIDE = "pair-vehicles.json"


class SharedVehicle(Struct, frozen=True, kw_only=True):
    """entry: None once it is gone."""

    id: Annotated[str, Meta(pattern=SLUG_PATTERN)]
    version: int
    at_ms: int
    entry: VehicleEntry | None = None

    @property
    def age(self) -> tuple[int, int, bool, bytes]:
        """The greater is newer. Of the same age it is decided alike on both sides: gone is newer, then by what it
        says."""
        return self.version, self.at_ms, self.entry is None, msgspec.json.encode(self.entry)


class SharedVehicles(Struct, frozen=True, kw_only=True):
    vehicles: tuple[SharedVehicle, ...] = ()


class _Known(Struct, frozen=True, kw_only=True):
    """digest: of the entry, "" for one that is gone."""

    version: int
    at_ms: int
    digest: str


class VehiclesOfPair:
    """Safe from any thread, and beside `kinflow edge vehicle`."""

    def __init__(self, home: Path) -> None:
        self._path, self._beside = home / FILE_NAME, home / BESIDE
        self._lock = threading.Lock()

    def now(self) -> SharedVehicles:
        """Notes what has changed since the last look. Raises VehicleKeysUnusable (KF320), OSError."""
        with self._lock, changing(self._path):
            return SharedVehicles(vehicles=tuple(self._look().values()))

    def merge(self, theirs: SharedVehicles) -> bool:
        """Take over what is newer there; whether the file is another one now. Raises VehicleKeysUnusable (KF320), and
        leaves ours as it is, when either can't be used; OSError."""
        with self._lock, changing(self._path):
            mine = self._look()
            newer = [one for one in theirs.vehicles if one.id not in mine or one.age > mine[one.id].age]
            if not newer:
                return False
            found = {**mine, **{one.id: one for one in newer}}
            entries = tuple(one.entry for one in found.values() if one.entry is not None)
            changed = entries != tuple(one.entry for one in mine.values() if one.entry is not None)
            if changed:
                write_file(self._path, VehicleFile(entries))
            self._keep(found)
            return changed

    def _look(self) -> dict[str, SharedVehicle]:
        if not self._path.is_file():
            return {}
        at_ms = int(self._path.stat().st_mtime * 1000)
        entries = {one.id: one for one in read_file(self._path).vehicle}
        known = self._known()
        found: dict[str, SharedVehicle] = {}
        for name in (*entries, *(one for one in known if one not in entries)):
            entry, before = entries.get(name), known.get(name)
            if before is not None and before.digest == _digest(entry):
                found[name] = SharedVehicle(id=name, version=before.version, at_ms=before.at_ms, entry=entry)
            else:
                version = before.version + 1 if before is not None else 1
                found[name] = SharedVehicle(id=name, version=version, at_ms=at_ms, entry=entry)
        if found.keys() != known.keys() or any(one.version != known[name].version for name, one in found.items()):
            self._keep(found)
        return found

    def _known(self) -> dict[str, _Known]:
        try:
            return msgspec.json.decode(self._beside.read_bytes(), type=dict[str, _Known])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return {}

    def _keep(self, found: Mapping[str, SharedVehicle]) -> None:
        known = {
            name: _Known(version=one.version, at_ms=one.at_ms, digest=_digest(one.entry)) for name, one in found.items()
        }
        write_whole(self._beside, msgspec.json.encode(known))


def _digest(entry: VehicleEntry | None) -> str:
    return "" if entry is None else hashlib.sha256(msgspec.json.encode(entry)).hexdigest()
