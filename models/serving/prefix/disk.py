"""Blocks in files: one file a block, named by its key, written beside and moved into its place.

A file is a line that names it, what it holds and how long it is, and the data. Whatever else is found in the folder
under such a name is dropped: half-written files of a process that was killed, noise, files without the block before.
Nothing waits for the disk to be sure of it: after a power cut the checksum finds what is missing.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from models.engine.port import Portion
from models.errors import PrefixDiskRefuses, PrefixFileDamaged
from models.serving.prefix.tree import Tree

log = logging.getLogger(__name__)

SUFFIX, HALF = ".kv", ".half"
_MOST_HEADER = 4096


class _Header(msgspec.Struct, frozen=True):
    key: str
    parent: str
    fingerprint: str
    layout: str
    start: int
    end: int
    whole: bool
    size: int
    sha256: str


@dataclass
class Disk:
    """folder: of this cache alone; made, readable by its owner only. tree: what is in it; its capacity is the quota in
    bytes. lock: what keeps others away, let go by `close`. Used on one thread."""

    folder: Path
    tree: Tree
    lock: IO[str] | None = None

    def __post_init__(self) -> None:
        self._told = False
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_stock()
        except OSError as error:
            self._tell(error)

    def read(self, key: bytes) -> Portion | None:
        """None for one that is damaged or gone, which is then forgotten with all behind it."""
        path = self._path(key)
        try:
            header, data = _parsed(path.read_bytes())
            if header.key != key.hex() or hashlib.sha256(data).hexdigest() != header.sha256:
                raise ValueError("its data has changed")
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            log.warning("%s", PrefixFileDamaged(path=path, detail=error))
            self.forget(key)
            _remove(path)
            return None
        one = header
        return Portion(one.fingerprint, one.layout, one.start, one.end, one.whole, data, one.sha256)

    def write(self, key: bytes, parent: bytes | None, portion: Portion) -> bool:
        """Whether it is there now. The block before it must be there. A disk that refuses is told of once, until it
        takes again."""
        if key in self.tree:
            return True
        if len(portion.data) > self.tree.capacity or (parent is not None and parent not in self.tree):
            return False
        header = _Header(
            key.hex(), parent.hex() if parent else "", portion.fingerprint, portion.layout, portion.start, portion.end,
            portion.whole, len(portion.data), portion.sha256,
        )  # fmt: skip
        path = self._path(key)
        half = path.with_suffix(HALF)
        try:
            descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(header) + b"\n")
                file.write(portion.data)
            half.replace(path)
        except OSError as error:
            self._tell(error)
            _remove(half)
            return False
        self._told = False
        self.tree.add(key, parent, len(portion.data))
        self._forget(self.tree.shrink())
        return key in self.tree

    def forget(self, key: bytes) -> None:
        self._forget(self.tree.drop(key))

    def close(self) -> None:
        if self.lock is not None:
            self.lock.close()

    def _tell(self, error: OSError) -> None:
        if not self._told:
            log.warning("%s", PrefixDiskRefuses(folder=self.folder, detail=error.strerror or error))
        self._told = True

    def _forget(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            _remove(self._path(key))

    def _path(self, key: bytes) -> Path:
        return self.folder / f"{key.hex()}{SUFFIX}"

    def _take_stock(self) -> None:
        """What an earlier process left, by age; data is checked when it is read."""
        for half in self.folder.glob(f"*{HALF}"):
            _remove(half)
        found: dict[str, tuple[float, _Header]] = {}
        for path in self.folder.glob(f"*{SUFFIX}"):
            try:
                with path.open("rb") as file:
                    line = file.readline(_MOST_HEADER)
                    header = msgspec.json.decode(line, type=_Header)
                    told = file.seek(0, os.SEEK_END)
                if header.key != path.stem or len(line) + header.size != told or len(bytes.fromhex(header.key)) != 32:
                    raise ValueError("it is not whole")
            except (OSError, ValueError, msgspec.MsgspecError) as error:
                log.warning("%s", PrefixFileDamaged(path=path, detail=error))
                _remove(path)
                continue
            found[header.key] = (path.stat().st_mtime, header)
        for name in sorted(found, key=lambda one: found[one][0]):
            self._restore(name, found)
        for name in found:
            if bytes.fromhex(name) not in self.tree:
                _remove(self._path(bytes.fromhex(name)))
        self._forget(self.tree.shrink())

    def _restore(self, name: str, found: dict[str, tuple[float, _Header]]) -> None:
        chain = []
        while name and bytes.fromhex(name) not in self.tree:
            if name not in found or name in chain:
                return  # the block before is missing: this one is of no use
            chain.append(name)
            name = found[name][1].parent
        for one in reversed(chain):
            header = found[one][1]
            self.tree.add(bytes.fromhex(one), bytes.fromhex(header.parent) or None, header.size)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _parsed(content: bytes) -> tuple[_Header, bytes]:
    line, _, data = content.partition(b"\n")
    header = msgspec.json.decode(line, type=_Header)
    if len(data) != header.size:
        raise ValueError(f"it holds {len(data)} of {header.size} bytes")
    return header, data
