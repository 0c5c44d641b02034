"""The file that the log of pre-emption is kept in: opened where it was left, written before anything is done."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import structlog

from edge_server.errors import PreemptionLogBroken, PreemptionLogUnwritable
from edge_server.signals.preemption.log_lines import (
    BEGIN,
    Begun,
    Line,
    Opened,
    Reading,
    chained,
    edition,
    read_lines,
    replay,
)
from edge_server.signals.preemption.state import State
from protocol.ids import IntersectionId

# No `.log`: those are left out of backups.
FILE_NAME = "preemption.chain"
FULL_BYTES = 16 * 1024 * 1024
KEPT_FILES = 20

log = structlog.get_logger("edge.preemption")


class LogFile:
    """Not safe from several threads. states: what the file led to when it was opened. broken: why the file that was
    there could not be gone on with; it lies beside the new one.

    A line is in the kernel's hands when write() returns, so that it outlives this process; sync() brings it to the
    disk."""

    def __init__(self, folder: Path, at_ms: int) -> None:
        self.path = folder / FILE_NAME
        self.broken: PreemptionLogBroken | None = None
        self.states: dict[IntersectionId, State] = {}
        self.newest_ms = 0
        self._head = BEGIN
        self._size = 0
        self._file: BinaryIO | None = None
        self._closed = False
        self._synced = True
        folder.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            self._read()
        self._open(at_ms)

    def write(self, line: Line) -> None:
        """Raises PreemptionLogUnwritable (KF322): it is not in the log, and a part of it neither."""
        if self._file is None and not self._closed:
            self._open(self.newest_ms)
        data, head = chained(line, self._head)
        try:
            if self._file is None:
                raise OSError("it can't be opened")
            if self._file.write(data) != len(data):
                raise OSError("no room for the whole line")
        except OSError as error:
            self._cut()
            raise PreemptionLogUnwritable(path=self.path, detail=str(error)) from error
        self._head, self._size, self._synced = head, self._size + len(data), False

    def sync(self) -> None:
        """To the disk; once a second is enough."""
        if self._file is None or self._synced:
            return
        self._synced = True
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            log.warning("the log of pre-emption can't be brought to the disk", detail=str(error))

    @property
    def full(self) -> bool:
        return self._size >= FULL_BYTES

    def turn(self, states: Mapping[IntersectionId, State], at_ms: int) -> None:
        """Go on in a new file; the oldest goes."""
        self._release()
        self._set_aside("full")
        self._open(at_ms)
        for intersection, state in states.items():
            self.write(Opened(at_ms=at_ms, intersection=intersection, state=state))

    def close(self) -> None:
        self._closed = True
        self._release()

    def _release(self) -> None:
        if self._file is not None:
            self.sync()
            self._file.close()
            self._file = None

    def _read(self) -> None:
        reading = Reading()
        try:
            first = next(read_lines(self.path, Reading()), None)
            if isinstance(first, Begun) and first.edition == edition():
                for told in replay(self.path, reading):
                    self.newest_ms = max(self.newest_ms, told.event.at_ms)
                self.states, self._size = reading.states, reading.size_bytes
            else:  # written by another edition: its leases are over, its chain goes on
                for _ in read_lines(self.path, reading):
                    pass
        except PreemptionLogBroken as error:
            self.broken = error
        except OSError as error:
            self.broken = PreemptionLogBroken(path=self.path, line=reading.lines + 1, detail=str(error))
        self._head = reading.head
        if not self._size:
            self.states = {}
            self._set_aside("broken" if self.broken else "ended")

    def _open(self, at_ms: int) -> None:
        try:
            file = self.path.open("ab", buffering=0)
        except OSError as error:
            log.error("the log of pre-emption can't be opened", detail=str(error))
            return
        self._file = file
        if self._size:
            self._cut()  # half a line that a power cut left
            return
        before, self._head = self._head, BEGIN
        try:
            self.write(Begun(at_ms=at_ms, before=before, edition=edition()))
        except PreemptionLogUnwritable as error:
            self._head = before
            self._release()
            log.error(str(error))

    def _cut(self) -> None:
        if self._file is not None:
            try:
                self._file.truncate(self._size)
            except OSError:
                self._file.close()
                self._file = None

    def _set_aside(self, why: str) -> None:
        """Numbered in order; `why` tells a reader what the file is."""
        others = sorted(self.path.parent.glob("preemption-*.chain"))
        number = int(others[-1].stem.split("-")[1]) + 1 if others else 1
        self.path.rename(self.path.with_name(f"preemption-{number:06}-{why}.chain"))
        self._size = 0
        for old in others[: max(0, len(others) + 1 - KEPT_FILES)]:
            old.unlink(missing_ok=True)
