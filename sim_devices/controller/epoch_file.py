"""The highest epoch that a controller has taken, kept across restarts in a small file."""

from __future__ import annotations

import os
from pathlib import Path

from sim_devices.errors import EpochFileUnreadable


class EpochFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> int:
        """0 when there is no file yet. Raises EpochFileUnreadable (KF100)."""
        try:
            text = self._path.read_text("ascii").strip()
        except FileNotFoundError:
            return 0
        except (OSError, UnicodeDecodeError) as error:
            raise EpochFileUnreadable(path=self._path, detail=error) from error
        if not text.isdecimal():
            raise EpochFileUnreadable(path=self._path, detail=f"{text[:40]!r} is no number")
        return int(text)

    def write(self, epoch: int) -> None:
        """On disk when this returns: written beside, synced, and moved into place. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(".new")
        with beside.open("w", encoding="ascii") as file:
            file.write(f"{epoch}\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
