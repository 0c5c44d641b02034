"""The bundles that lie in a folder: the newest of each processor, and its SHA-256, counted once for each file."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from pathlib import Path

from node.update.bundle import digest
from node.update.version import is_version, rank

FOLDER = "bundles"
ARCHES = ("arm64", "x86_64")
_NAME = re.compile(r"kinflow-(?P<version>.+)-(?P<arch>arm64|x86_64)\.tar\Z")


@dataclass(frozen=True)
class Shelved:
    path: Path
    version: str
    arch: str
    sha256: str
    size: int


class Shelf:
    """Thread-safe. A file is put there whole, by a rename; one that is still being copied has another name."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._counted: dict[tuple[str, int, int], str] = {}

    def newest(self, arch: str) -> Shelved | None:
        """Reading a new file whole takes seconds; call it on a thread that may wait."""
        found = [(rank(version), path, version) for path, version in self._of(arch)]
        if not found:
            return None
        _, path, version = max(found)
        try:
            told = path.stat()
            with self._lock:
                key = (path.name, told.st_size, told.st_mtime_ns)
                if key not in self._counted:
                    self._counted[key] = digest(path)
                return Shelved(path, version, arch, self._counted[key], told.st_size)
        except OSError:
            return None

    def _of(self, arch: str) -> list[tuple[Path, str]]:
        if self._folder is None:
            return []
        matches = [(path, _NAME.match(path.name)) for path in self._folder.glob(f"kinflow-*-{arch}.tar")]
        return [
            (path, match["version"])
            for path, match in matches
            if match is not None and match["arch"] == arch and is_version(match["version"]) and path.is_file()
        ]
