"""One process at a time: a lock that lies beside a file and ends with its process, however that ends."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TextIO

from node.errors import StateInUse


def lock_beside(path: Path) -> TextIO:
    """Hold `<path>.lock` until the returned file is closed or this process ends. Raises OSError when it is held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(f"{path.name}.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


def hold_state(path: Path) -> TextIO:
    """The same for what one process alone may work with. Raises StateInUse (KF53)."""
    try:
        return lock_beside(path)
    except OSError as error:
        raise StateInUse(path=path) from error
