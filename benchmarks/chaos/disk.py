"""A small disk for one process: a real file system in a file, which can be filled. Only root can mount it."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

PATIENCE_S = 10.0


class SmallDisk:
    """mount() and unmount() once each. Raises RuntimeError with the reason."""

    def __init__(self, image: Path, place: Path, size_mb: int) -> None:
        self.place = place
        self._image, self._size_mb = image, size_mb
        self._ballast = place / "ballast"

    def mount(self) -> None:
        with self._image.open("wb") as file:
            file.truncate(self._size_mb * 1_000_000)
        self.place.mkdir(parents=True, exist_ok=True)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image))
        _run("mount", "-o", "loop", str(self._image), str(self.place))

    def unmount(self) -> None:
        """Whoever wrote there may take a moment to end. What does not end then keeps the disk, but not its place."""
        deadline = time.monotonic() + PATIENCE_S
        while os.path.ismount(self.place):
            try:
                _run("umount", *(["--lazy"] if time.monotonic() > deadline else []), str(self.place))
            except RuntimeError:
                if time.monotonic() > deadline + PATIENCE_S:
                    raise
                time.sleep(0.1)

    def fill(self) -> None:
        """Until not one byte more fits."""
        with self._ballast.open("wb", buffering=0) as file:
            free = os.statvfs(self.place)
            with suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - 1_000_000))
            file.seek(0, os.SEEK_END)
            for size in (65_536, 4_096, 512):
                with suppress(OSError):
                    while True:
                        file.write(b"\0" * size)

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


def can_mount() -> bool:
    return os.geteuid() == 0 and Path("/dev/loop-control").exists()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()}")
