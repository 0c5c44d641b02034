"""The highest epoch that a controller has taken, kept across restarts in a small file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from edge_server.errors import ControllerEpochUnreadable
from protocol.errors import KinflowError


class EpochFile:
    unreadable: ClassVar[type[KinflowError]] = ControllerEpochUnreadable

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> int:
        """0 when there is no file yet. Raises ControllerEpochUnreadable (KF474)."""
        try:
            text = self._path.read_text("ascii").strip()
        except FileNotFoundError:
            return 0
        except (OSError, UnicodeDecodeError) as error:
            raise self.unreadable(path=self._path, detail=error) from error
        if not text.isdecimal():
            raise self.unreadable(path=self._path, detail=f"{text[:40]!r} is no number")
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
