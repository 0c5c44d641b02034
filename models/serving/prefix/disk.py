"""Blocks in files: one file a block, named by its key, written beside and moved into its place.

A file is a line that names it, what it holds and how long it is, and the data. Whatever else is found in the folder
under such a name is dropped: half-written files of a process that was killed, noise, files without the block before.
Files are written on a thread of their own; until then a block is read from memory. Nothing waits for the disk to be
sure of it: after a power cut the checksum finds what is missing.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from models.engine.port import Portion
from models.errors import PrefixDiskRefuses, PrefixFileDamaged
from models.serving.prefix.tree import Tree
from models.serving.prefix.writer import HALF, Writer, remove

log = logging.getLogger(__name__)

SUFFIX = ".kv"
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
        self._writer = Writer()
        self._unwritten: dict[bytes, tuple[int, Portion]] = {}
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_stock()
        except OSError as error:
            self._tell(error)

    def read(self, key: bytes) -> Portion | None:
        """None for one that is damaged or gone, which is then forgotten with all behind it."""
        self._heed()
        if key in self._unwritten:
            return self._unwritten[key][1]
        path = self._path(key)
        try:
            header, data = _parsed(path.read_bytes())
            if header.key != key.hex() or hashlib.sha256(data).hexdigest() != header.sha256:
                raise ValueError("its data has changed")
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            log.warning("%s", PrefixFileDamaged(path=path, detail=error))
            self.forget(key)
            self._writer.remove(path)
            return None
        one = header
        return Portion(one.fingerprint, one.layout, one.start, one.end, one.whole, data, one.sha256)

    def write(self, key: bytes, parent: bytes | None, portion: Portion) -> bool:
        """Whether it is there now, or will be. The block before it must be there. Not where more waits to be written
        than memory is kept for. A disk that refuses is told of once, until it takes again."""
        self._heed()
        if key in self.tree:
            return True
        if len(portion.data) > self.tree.capacity or (parent is not None and parent not in self.tree):
            return False
        header = _Header(
            key.hex(), parent.hex() if parent else "", portion.fingerprint, portion.layout, portion.start, portion.end,
            portion.whole, len(portion.data), portion.sha256,
        )  # fmt: skip
        ticket = self._writer.write(self._path(key), (msgspec.json.encode(header) + b"\n", portion.data))
        if ticket is None:
            return False
        self._unwritten[key] = ticket, portion
        self.tree.add(key, parent, len(portion.data))
        self._forget(self.tree.shrink())
        return key in self.tree

    def settle(self) -> None:
        """Until all is written that the disk takes."""
        self._writer.settle()
        self._heed()

    def _heed(self) -> None:
        """What has become of the files that were written meanwhile."""
        for one in self._writer.done():
            key = next((key for key, (ticket, _) in self._unwritten.items() if ticket == one.ticket), None)
            if one.error is not None:
                self._tell(one.error)
            else:
                self._told = False
            if key is not None:
                del self._unwritten[key]
                if one.error is not None:
                    self.forget(key)

    def forget(self, key: bytes) -> None:
        self._forget(self.tree.drop(key))

    def close(self) -> None:
        self._writer.close()
        if self.lock is not None:
            self.lock.close()

    def _tell(self, error: OSError) -> None:
        if not self._told:
            log.warning("%s", PrefixDiskRefuses(folder=self.folder, detail=error.strerror or error))
        self._told = True

    def _forget(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            self._unwritten.pop(key, None)
            self._writer.remove(self._path(key))

    def _path(self, key: bytes) -> Path:
        return self.folder / f"{key.hex()}{SUFFIX}"

    def _take_stock(self) -> None:
        """What an earlier process left, by age; data is checked when it is read."""
        for half in self.folder.glob(f"*{HALF}"):
            remove(half)
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
                remove(path)
                continue
            found[header.key] = (path.stat().st_mtime, header)
        for name in sorted(found, key=lambda one: found[one][0]):
            self._restore(name, found)
        for name in found:
            if bytes.fromhex(name) not in self.tree:
                remove(self._path(bytes.fromhex(name)))
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


def _parsed(content: bytes) -> tuple[_Header, bytes]:
    line, _, data = content.partition(b"\n")
    header = msgspec.json.decode(line, type=_Header)
    if len(data) != header.size:
        raise ValueError(f"it holds {len(data)} of {header.size} bytes")
    return header, data
