"""Which weights may be opened: those whose hash Kinflow ships, a family pinned, or a person accepted.

A GGUF is read by a large C++ parser, and hostile files have got the better of such before: the hash is looked at first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from models.errors import WeightsQuarantined, WeightsUnreadable

NAME = "accepted.json"


class Accepted(Struct, frozen=True, forbid_unknown_fields=True):
    """sha256 -> the name that the file had when it was accepted."""

    files: dict[str, str] = {}


def fingerprint(path: Path) -> str:
    """SHA-256 of a file. Raises WeightsUnreadable (KF391)."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsUnreadable(path=path, detail=error.strerror or error) from error


class Trust:
    """folder: where accepted hashes are kept, the state folder's models/. shipped: hashes that need no acceptance."""

    def __init__(self, folder: Path, shipped: Iterable[str] = ()) -> None:
        self._path = folder / NAME
        self._shipped = frozenset(shipped)

    def check(self, path: Path) -> str:
        """The file's hash, once it is known. Raises WeightsQuarantined (KF392), WeightsUnreadable (KF391)."""
        found = fingerprint(path)
        if not self.knows(found):
            raise WeightsQuarantined(path=path, sha256=found)
        return found

    def knows(self, sha256: str) -> bool:
        return sha256 in self._shipped or sha256 in self._read().files

    def accept(self, path: Path, sha256: str) -> None:
        """Let the file in, if its hash is the one that the person read. Raises WeightsQuarantined (KF392)."""
        found = fingerprint(path)
        if found != sha256.strip().lower():
            raise WeightsQuarantined(path=path, sha256=found)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_name(f".{NAME}.part")
        part.write_bytes(msgspec.json.encode(Accepted({**self._read().files, found: path.name})))
        part.replace(self._path)

    def _read(self) -> Accepted:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Accepted)
        except FileNotFoundError:
            return Accepted()
        except (OSError, msgspec.DecodeError) as error:
            # Nothing is trusted on the word of a file that can't be read.
            raise WeightsUnreadable(path=self._path, detail=error) from error
