"""A pool as the settings have it."""

from __future__ import annotations

import fcntl
import logging
from pathlib import Path

from models.errors import PrefixDiskRefuses
from models.serving.prefix.disk import Disk
from models.serving.prefix.pool import Pool
from models.serving.prefix.tree import Tree
from node.config.schema import Serving

log = logging.getLogger(__name__)
FOLDER = "prefix"
MEGABYTE = 1_000_000
# Schedulers on one state folder, of all its processes.
MOST_FOLDERS = 16


def pool_of(home: Path, settings: Serving) -> Pool:
    """What an earlier process left on the disk is looked through, where there is one."""
    quota = settings.prefix_disk_mb * MEGABYTE
    return Pool(settings.prefix_mb * MEGABYTE, _disk(home / FOLDER, quota) if quota else None)


def _disk(folder: Path, quota: int) -> Disk | None:
    """Each cache has a folder of its own: two would drop each other's files. The first one that nobody has."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(MOST_FOLDERS):
            lock = (folder / f"{number}.lock").open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            return Disk(folder / str(number), Tree(quota), lock)
    except OSError as error:
        log.warning("%s", PrefixDiskRefuses(folder=folder, detail=error.strerror or error))
    return None
