"""Reading a backup: all of it is checked, whether it is to be verified only or to be restored."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import msgspec

from edge_server.backup.contents import MANIFEST, Manifest
from edge_server.backup.sealed import SealedReader
from edge_server.errors import BackupDamaged

COPY_BYTES = 1 << 20
LIMIT_MANIFEST = 64 * 1024 * 1024

Place = Callable[[str, int], BinaryIO]


def check(path: Path, passphrase: str) -> Manifest:
    """Read the whole backup and keep nothing. Raises what opening a sealed file does, and BackupDamaged (KF226)."""
    return unpack(path, passphrase, lambda _name, _mode: cast(BinaryIO, open(os.devnull, "wb")))


def unpack(path: Path, passphrase: str, place: Place) -> Manifest:
    """Give every member to the file that `place(name, mode)` opens; the manifest is returned, and was kept to.

    What has been placed counts only when this returns: a fault shows at any point up to the last byte."""
    found: dict[str, tuple[int, str]] = {}
    manifest: Manifest | None = None
    sealed = SealedReader(path, passphrase)
    try:
        with sealed, tarfile.open(fileobj=io.BufferedReader(sealed), mode="r|") as archive:
            for member in archive:
                if not member.isreg() or manifest is not None or not _is_plain(member.name) or member.name in found:
                    raise BackupDamaged(path=path, detail=f"it holds {member.name!r}, which no backup does")
                content = archive.extractfile(member)
                assert content is not None
                if member.name == MANIFEST:
                    manifest = msgspec.json.decode(content.read(LIMIT_MANIFEST), type=Manifest)
                else:
                    with place(member.name, member.mode & 0o777) as file:
                        found[member.name] = _copy(cast(BinaryIO, content), file)
            # Past the end of the archive: the last chunk is checked too.
            while sealed.read(COPY_BYTES):
                pass
    except (tarfile.TarError, msgspec.DecodeError) as error:
        raise BackupDamaged(path=path, detail=str(error)) from error
    if manifest is None or found != {one.name: (one.size_bytes, one.sha256) for one in manifest.files}:
        raise BackupDamaged(path=path, detail="its files are not those of its list")
    return manifest


def _copy(source: BinaryIO, target: BinaryIO) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    while piece := source.read(COPY_BYTES):
        digest.update(piece)
        target.write(piece)
        size += len(piece)
    return size, digest.hexdigest()


def _is_plain(name: str) -> bool:
    """Whoever made the file had the passphrase, and still it writes nowhere but below the new state folder."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and "\0" not in name
