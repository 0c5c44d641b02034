"""Making a backup, also while the edge server runs: every store by SQLite's own online copy, every file as it is."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec

from edge_server.backup.contents import MANIFEST, TEMPORARY, Entry, Manifest, chosen, is_store
from edge_server.backup.read import check
from edge_server.backup.sealed import COST, FORMAT, SealedWriter, new_header
from edge_server.errors import BackupFailed
from node.sqlite import BUSY_TIMEOUT_MS

LEAST_PASSPHRASE = 10


@dataclass(frozen=True)
class Subject:
    """What is backed up. outside: files that a setting names elsewhere ("edge.database": its path), and the name
    below the state folder that each gets in the backup."""

    home: Path
    edge: str
    software: str
    outside: Mapping[str, tuple[Path, str]]


def write_backup(subject: Subject, target: Path, passphrase: str, made_ms: int, cost: int = COST) -> Manifest:
    """Write `target`, read it back, and only then give it its name. Raises BackupFailed (KF228).

    Only its owner may read it. Copies of stores lie for a moment in the state folder, never beside the target: that
    may be a stick that everybody reads."""
    if len(passphrase) < LEAST_PASSPHRASE:
        raise BackupFailed(path=target.parent, detail=f"a passphrase needs {LEAST_PASSPHRASE} characters or more")
    if not subject.home.is_dir():
        raise BackupFailed(path=target.parent, detail=f"there is no state folder {subject.home}")
    part = target.with_name(f"{target.name}.part")
    try:
        _clear_leftovers(subject.home)
        with _private(part) as file:
            manifest = _fill(subject, file, passphrase, made_ms, cost)
        check(part, passphrase)
        part.replace(target)
        _sync_folder(target.parent)
    except (OSError, sqlite3.Error, tarfile.TarError) as error:
        raise BackupFailed(path=target.parent, detail=_reason(error)) from error
    finally:
        part.unlink(missing_ok=True)
    return manifest


def _fill(subject: Subject, file: io.BufferedWriter, passphrase: str, made_ms: int, cost: int) -> Manifest:
    sealed = SealedWriter(file, new_header(made_ms, subject.software, subject.edge, cost), passphrase)
    try:
        with tarfile.open(fileobj=cast(io.BufferedIOBase, sealed), mode="w|") as archive:
            entries = [_add(archive, subject.home, name, path) for name, path in _all_of(subject)]
            manifest = Manifest(
                FORMAT,
                subject.edge,
                subject.software,
                made_ms,
                tuple(entries),
                {key: name for key, (path, name) in subject.outside.items() if path.is_file()},
            )
            text = msgspec.json.encode(manifest)
            archive.addfile(_info(MANIFEST, len(text), 0o600), io.BytesIO(text))
    except BaseException:
        sealed.abandon()
        raise
    sealed.close()
    file.flush()
    os.fsync(file.fileno())
    return manifest


def _all_of(subject: Subject) -> Iterator[tuple[str, Path]]:
    outside = {name: path for path, name in subject.outside.values() if path.is_file()}
    for name, path in chosen(subject.home):
        if name not in outside and name != MANIFEST:
            yield name, path
    yield from outside.items()


def _add(archive: tarfile.TarFile, home: Path, name: str, path: Path) -> Entry:
    mode = path.stat().st_mode & 0o777
    if not is_store(path):
        return _add_file(archive, name, path, mode, store=False)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=home) as folder:
        copy = Path(folder) / "store.db"
        copy_store(path, copy)
        return _add_file(archive, name, copy, mode, store=True)


def copy_store(source: Path, target: Path) -> None:
    """The file as of one moment, while others read and write it. In one step, since a copy in several would begin
    again at each commit; readers in a write-ahead log hold nobody up. Opened for writing, so that the last to close
    it leaves no log behind, which might be root's."""
    with (
        closing(
            sqlite3.connect(f"{source.resolve().as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT_MS / 1000)
        ) as old,
        closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)
        verdict = new.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"{source.name} is damaged ({verdict})")


def _add_file(archive: tarfile.TarFile, name: str, path: Path, mode: int, store: bool) -> Entry:
    """Its size as of now: a file that grows meanwhile is kept up to there, one that shrinks is an error."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        counted = _Hashing(file)
        archive.addfile(_info(name, size, mode), cast(io.BufferedReader, counted))
    return Entry(name, size, counted.hash.hexdigest(), mode, store)


class _Hashing(io.RawIOBase):
    def __init__(self, file: io.BufferedReader) -> None:
        super().__init__()
        self._file = file
        self.hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self.hash.update(piece)
        return piece


def _info(name: str, size: int, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, mode
    return info


@contextmanager
def _private(path: Path) -> Iterator[io.BufferedWriter]:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield cast(io.BufferedWriter, file)


def _clear_leftovers(home: Path) -> None:
    """A backup that was killed left copies behind."""
    for folder in home.glob(f"{TEMPORARY}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    return str(error)
