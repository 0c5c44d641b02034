"""What of a state folder is worth keeping: everything but what is made anew, fetched again or belongs to a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from msgspec import Struct

SQLITE_MAGIC = b"SQLite format 3\0"
MANIFEST = "manifest.json"
# Whole folders, by their path below the state folder. What an edge hands on it can fetch again; logs stay at home.
LEFT_OUT_FOLDERS = frozenset(
    {"log", "broker", "bundles", "backups", "city", "models", "update/downloads", "update/targets", "updates/targets"}
)
LEFT_OUT_FILES = ("*.lock", "*-wal", "*-shm", "*-journal", "*.corrupt-*", "*.part", "*.sock", "*.pid", "*.log")
# An outbox goes with its device; a health file, a reserve and the note of a restore belong to a run or a disk.
LEFT_OUT_NAMES = (
    "outbox-*.db",
    "health.json",
    "reserve",
    "restored.json",
    "time-source.json",
    "ask.json",
    "told-*.json",
)
TEMPORARY = ".backup-"


class Entry(Struct, frozen=True):
    """One file of a backup, by its path below the state folder. store: a SQLite file, taken by its own means."""

    name: str
    size_bytes: int
    sha256: str
    mode: int
    store: bool = False


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """The last member of a backup, so that it is written when every hash is known. made_ms: Unix milliseconds.

    moved: files that lay outside the state folder by a setting ("edge.database"), and their name in here."""

    format: int
    edge: str
    software: str
    made_ms: int
    files: tuple[Entry, ...]
    moved: dict[str, str] = {}


def chosen(home: Path) -> Iterator[tuple[str, Path]]:
    """Name below `home` and path of each file to keep, in order. A linked file is kept as a file of its own."""
    for folder, below, files in os.walk(home):
        at = Path(folder)
        place = at.relative_to(home)
        below[:] = sorted(one for one in below if _keep_folder((place / one).as_posix()))
        for file in sorted(files):
            path = at / file
            if _keep_file(file) and path.is_file():
                yield (place / file).as_posix(), path


def is_store(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC


def _keep_folder(name: str) -> bool:
    return name not in LEFT_OUT_FOLDERS and not name.rpartition("/")[2].startswith(TEMPORARY)


def _keep_file(name: str) -> bool:
    return not any(fnmatch(name, pattern) for pattern in (*LEFT_OUT_FILES, *LEFT_OUT_NAMES))
