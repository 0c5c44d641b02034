"""The disk under the store: its free space, and a reserve file that is given up when nothing else is left."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from edge_server.store.room import Marks, Stage, State, step, worse

RESERVE = "reserve"


class Disk:
    """One thread calls it. The reserve lies beside the store, since only the same disk can lend to it."""

    def __init__(self, store: Path, marks: Marks) -> None:
        self._folder, self._marks = store.parent, marks
        self._reserve = store.with_name(RESERVE)
        self._state = State()
        self.free_mb = 0.0

    @property
    def stage(self) -> Stage:
        return self._state.stage

    @property
    def takes_readings(self) -> bool:
        return not worse(self.stage, "low")

    def look(self, now_ms: int) -> bool:
        """Whether the stage has changed. Gives the reserve up, or makes it again, as the stage demands."""
        if not self._marks.low_mb:
            return False
        before = self.stage
        try:
            self.free_mb = _free_mb(self._folder)
        except OSError:
            return False
        wanted_mb = 0.0 if self._reserve.exists() else self._marks.reserve_mb
        self._state = step(self._state, self.free_mb - wanted_mb, now_ms, self._marks)
        if self.stage == "full":
            self._release()
        elif not self._reserve.exists():
            self._make()
        return self.stage != before

    def ran_out(self) -> bool:
        """A commit found no room, whatever was last seen. Whether a reserve was given up, so that another may succeed.
        The stage is `full` from now on."""
        if not self._marks.low_mb:
            return False
        self._state = State("full")
        return self._release()

    def _release(self) -> bool:
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True

    def _make(self) -> None:
        """Whole or not at all: half a reserve would be taken for one."""
        part = self._reserve.with_name(f"{RESERVE}.part")
        try:
            with part.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, int(self._marks.reserve_mb * 1e6))
                os.fsync(file.fileno())
            part.rename(self._reserve)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)


def _free_mb(folder: Path) -> float:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize / 1e6
