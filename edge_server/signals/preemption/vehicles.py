"""The site's key file, vehicles.toml: which vehicles there are, what they are, and the key of each.

It is written by `kinflow edge vehicle` or by hand, and read again when it changes. A file that can't be read lets
nobody ask.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta, Struct

from edge_server.errors import VehicleKeysUnusable
from edge_server.signals.preemption.shift import Shift
from node.trust.keys import write_whole
from protocol.ids import SLUG_PATTERN
from protocol.preemption import VehicleRole

FILE_NAME = "vehicles.toml"


class VehicleEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """key: the 32 bytes of an Ed25519 public key, base64. shifts: none means always. simulated: believed where
    all controllers are simulated, and nowhere else. note: for people."""

    id: Annotated[str, Meta(pattern=SLUG_PATTERN)]
    role: VehicleRole
    key: Annotated[str, Meta(max_length=64)]
    shifts: Annotated[tuple[str, ...], Meta(max_length=32)] = ()
    simulated: bool = False
    note: Annotated[str, Meta(max_length=200)] = ""


class VehicleFile(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    vehicle: tuple[VehicleEntry, ...] = ()


@dataclass(frozen=True)
class Vehicle:
    role: VehicleRole
    key: Ed25519PublicKey
    shifts: tuple[Shift, ...]
    simulated: bool = False

    def on_shift(self, now: datetime) -> bool:
        return not self.shifts or any(shift.holds(now) for shift in self.shifts)


def read_file(path: Path) -> VehicleFile:
    """Empty where there is none. Raises VehicleKeysUnusable (KF320)."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return VehicleFile()
    except (OSError, UnicodeDecodeError) as error:
        raise VehicleKeysUnusable(path=path, detail=str(error)) from error
    try:
        return msgspec.toml.decode(text, type=VehicleFile)
    except (msgspec.DecodeError, RecursionError) as error:
        raise VehicleKeysUnusable(path=path, detail=str(error)[:300]) from error


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """One at a time reads the file and writes it again: a person's command, and an edge server of a pair."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_file(path: Path, file: VehicleFile) -> None:
    """Whole or not at all; it has to be one that can be read."""
    vehicles(file, path)
    write_whole(path, "\n".join(_text(entry) for entry in file.vehicle).encode(), 0o644)


def _text(entry: VehicleEntry) -> str:
    """A JSON string or list of strings is one of TOML too."""
    lines = (f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in msgspec.to_builtins(entry).items())
    return "[[vehicle]]\n" + "\n".join(lines) + "\n"


def vehicles(file: VehicleFile, path: Path) -> dict[str, Vehicle]:
    """Raises VehicleKeysUnusable (KF320): a key or a shift that is none, or one id twice."""
    found: dict[str, Vehicle] = {}
    for entry in file.vehicle:
        if entry.id in found:
            raise VehicleKeysUnusable(path=path, detail=f"{entry.id!r} stands in it twice")
        try:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(entry.key, validate=True))
            shifts = tuple(Shift.parse(text) for text in entry.shifts)
        except (ValueError, binascii.Error) as error:
            raise VehicleKeysUnusable(path=path, detail=f"{entry.id}: {error}") from error
        found[entry.id] = Vehicle(entry.role, key, shifts, entry.simulated)
    return found


class VehicleKeys:
    """What the file says now. look() reads it again when it changed; a file that can't be used is nobody's, and
    `problem` says why. simulated: simulated vehicles are known too."""

    def __init__(self, path: Path, *, simulated: bool = False) -> None:
        self.path = path
        self._simulated = simulated
        self.problem: VehicleKeysUnusable | None = None
        self._known: Mapping[str, Vehicle] = {}
        self._stamp: tuple[int, int, int] | None = None
        self.look()

    def of(self, vehicle: str) -> Vehicle | None:
        return self._known.get(vehicle)

    def look(self) -> None:
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            found = vehicles(read_file(self.path), self.path)
            self._known = {name: one for name, one in found.items() if self._simulated or not one.simulated}
            self.problem = None
        except VehicleKeysUnusable as error:
            self._known, self.problem = {}, error

    def _stamp_now(self) -> tuple[int, int, int]:
        try:
            found = self.path.stat()
        except OSError:
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_size, found.st_ino)
