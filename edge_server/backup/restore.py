"""Bringing a backup back: into a folder beside the target, checked whole, and then put in its place at once."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from edge_server.backup.contents import Manifest
from edge_server.backup.read import unpack
from edge_server.errors import BackupDamaged
from edge_server.own_id import keep_own_id
from node.errors import HomeOccupied

NOTE = "restored.json"
CONFIG = "kinflow.toml"


class Note(msgspec.Struct, frozen=True):
    """Left for the edge server's next start: what came in between is in no store. Unix milliseconds."""

    made_ms: int
    restored_ms: int


@dataclass(frozen=True)
class Restored:
    """aside: where what was there before lies now."""

    manifest: Manifest
    home: Path
    aside: Path | None


def restore(path: Path, passphrase: str, home: Path, now_ms: int, *, aside: bool = False) -> Restored:
    """Make `home` what the backup holds. Until the last step nothing of it is there, and after it everything is.

    Raises HomeOccupied (KF194) when the folder holds something and `aside` is not asked for, and what reading a backup
    does. `aside`: what is there is renamed first."""
    home = home.absolute()
    _refuse_occupied(home, aside)
    parent = _parent(home)
    staging = Path(tempfile.mkdtemp(prefix=f".{home.name}.restoring-", dir=parent))
    try:
        manifest = unpack(path, passphrase, lambda name, mode: _open(staging / name, mode))
        _finish(path, manifest, staging, now_ms)
        _hand_over(staging, home)
        _sync_tree(staging)
        old = _swap(staging, home, now_ms)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return Restored(manifest, home, old)


def _refuse_occupied(home: Path, aside: bool) -> None:
    if home.is_mount():
        detail = "it is a disk of its own, which can't be swapped for another folder"
        raise HomeOccupied(path=home, detail=detail)
    if home.exists() and not home.is_dir():
        raise HomeOccupied(path=home, detail="it is no folder")
    if home.is_dir() and any(home.iterdir()) and not aside:
        raise HomeOccupied(path=home, detail="it holds something already")


def _parent(home: Path) -> Path:
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HomeOccupied(path=home, detail=f"{home.parent} can't be made ({error.strerror})") from error
    if not os.access(home.parent, os.W_OK | os.X_OK):
        raise HomeOccupied(path=home, detail=f"{home.parent} can't be written by this user; run it with sudo")
    return home.parent


def _open(path: Path, mode: int) -> BinaryIO:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return cast(BinaryIO, os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb"))


def _finish(path: Path, manifest: Manifest, staging: Path, now_ms: int) -> None:
    """What only a restored folder needs: sound stores, the edge's name, settings that point at what is here."""
    for entry in manifest.files:
        if entry.store and (verdict := _verdict(staging / entry.name)) != "ok":
            raise BackupDamaged(path=path, detail=f"{entry.name} is no sound store ({verdict})")
    keep_own_id(staging, manifest.edge)
    if manifest.moved and (staging / CONFIG).is_file():
        text = (staging / CONFIG).read_text("utf-8")
        (staging / CONFIG).write_text(without_settings(text, set(manifest.moved)), "utf-8")
    (staging / NOTE).write_bytes(msgspec.json.encode(Note(manifest.made_ms, now_ms)))


def without_settings(text: str, keys: set[str]) -> str:
    """A kinflow.toml in which these keys ("edge.database") are commented out: their files lie in the folder now."""
    lines, section = [], ""
    for line in text.splitlines(keepends=True):
        if heading := re.match(r"\s*\[([A-Za-z_]+)\]", line):
            section = heading[1]
        name = re.match(r"\s*([A-Za-z_]+)\s*=", line)
        hit = name is not None and f"{section}.{name[1]}" in keys
        lines.append(f"# in the state folder since the restore: {line.lstrip()}" if hit else line)
    return "".join(lines)


def _verdict(store: Path) -> str:
    try:
        with closing(sqlite3.connect(store)) as connection:
            return str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        return str(error)


def _hand_over(staging: Path, home: Path) -> None:
    """Root restores for the service's user: who owned the folder before owns the new one."""
    staging.chmod((home.stat().st_mode & 0o777) if home.is_dir() else 0o700)
    if os.geteuid() != 0:
        return
    model = home if home.is_dir() else home.parent
    owner = model.stat()
    for one in (staging, *staging.rglob("*")):
        os.chown(one, owner.st_uid, owner.st_gid)


def _sync_tree(staging: Path) -> None:
    for one in (*staging.rglob("*"), staging):
        handle = os.open(one, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _swap(staging: Path, home: Path, now_ms: int) -> Path | None:
    """An empty folder is replaced in one step; a filled one is renamed first. Between the two both are whole."""
    old = None
    if home.is_dir() and any(home.iterdir()):
        stamp = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
        old = home.with_name(f"{home.name}.before-{stamp}")
        home.rename(old)
    try:
        staging.rename(home)
    except OSError as error:
        if old is not None:
            old.rename(home)
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise HomeOccupied(path=home, detail="something came into it meanwhile") from error
        raise
    handle = os.open(home.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return old
