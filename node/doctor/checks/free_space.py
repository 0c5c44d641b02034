from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from node.doctor.check import Context
from node.errors import DiskSpaceLow

# A month of two intersections' observations, an outbox that waits for days, and room to breathe.
NEEDED_MB = 500


def free_mb(folder: Path) -> int:
    """Free space of the disk that `folder` is on, or will be made on."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free // 1_000_000


class FreeSpace:
    title = "The disk has room"
    error = DiskSpaceLow

    def __init__(self, free: Callable[[Path], int] = free_mb) -> None:
        self._free = free

    def run(self, context: Context) -> str:
        free = self._free(context.home)
        if free < NEEDED_MB:
            raise DiskSpaceLow(path=str(context.home), free_mb=free, needed_mb=NEEDED_MB)
        return f"{free} MB free for {context.home}."
