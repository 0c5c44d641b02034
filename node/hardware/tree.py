"""The part of the file system that tells about hardware: /proc, /sys and /dev below a root that is passed in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_LONGEST = 256 * 1024


@dataclass(frozen=True)
class Tree:
    """Reads only. Whatever can't be read counts as absent: a probe tells what it found, and never fails."""

    root: Path = Path("/")

    def text(self, path: str) -> str:
        """A file's text without the NULs of device trees and the blanks around it; empty when there is none."""
        try:
            with (self.root / path).open("rb") as file:
                content = file.read(_LONGEST)
        except OSError:
            return ""
        return content.decode("utf-8", "replace").replace("\0", "\n").strip()

    def number(self, path: str) -> int | None:
        try:
            return int(self.text(path), 0)
        except ValueError:
            return None

    def names(self, folder: str) -> list[str]:
        """What is in a folder, sorted so that video2 stands before video10; empty when there is none."""
        try:
            found = [one.name for one in (self.root / folder).iterdir()]
        except OSError:
            return []
        return sorted(found, key=lambda name: (len(name), name))

    def target(self, path: str) -> str:
        """Where a link leads, as text: /sys tells by it what a device is plugged into."""
        try:
            return str((self.root / path).resolve().relative_to(self.root.resolve()))
        except (OSError, ValueError, RuntimeError):
            return ""

    def exists(self, path: str) -> bool:
        try:
            return (self.root / path).exists()
        except OSError:
            return False
