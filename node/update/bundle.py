"""A bundle: one version for one processor, as a folder and as the one tar that is signed.

`kinflow-<version>-<arch>/` holds `bundle.json` and exactly the files that it lists. In the tar bundle.json comes first,
so that nothing is written before it is known how large it may be. Nothing here trusts a tar: names can't leave the
folder, links and devices are refused, and each byte is counted and hashed on its way to the disk.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from node.errors import BundleDamaged, BundleMalformed, BundleUnsafe, DiskSpaceLow
from node.update.version import PATTERN as VERSION_PATTERN

MANIFEST = "bundle.json"
MANIFEST_LIMIT_BYTES = 4 * 1024 * 1024
FILE_LIMIT_BYTES = 4 * 1024**3
BUNDLE_LIMIT_BYTES = 16 * 1024**3
FILES_LIMIT = 20_000
SPARE_MB = 100
_CHUNK = 1 << 20
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+!@ ~-]*")

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Arch = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,32}\Z")]


class BundleFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """path: below the bundle's folder, with forward slashes. size in bytes."""

    path: Annotated[str, Meta(min_length=1, max_length=255)]
    sha256: Sha256
    size: Annotated[int, Meta(ge=0, le=FILE_LIMIT_BYTES)]


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What bundle.json says. created: ISO 8601 in UTC. python: the minor versions that the wheels are for."""

    format: Literal[1]
    version: Annotated[str, Meta(pattern=VERSION_PATTERN)]
    arch: Arch
    created: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")]
    files: Annotated[tuple[BundleFile, ...], Meta(max_length=FILES_LIMIT)]
    python: Annotated[tuple[Annotated[str, Meta(pattern=r"^3\.\d{1,2}\Z")], ...], Meta(min_length=1, max_length=16)]

    @property
    def name(self) -> str:
        """The folder's name, and the tar's without its ending."""
        return f"kinflow-{self.version}-{self.arch}"

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(one.size for one in self.files)


def read_manifest(data: bytes, path: object = MANIFEST) -> Manifest:
    """Raises BundleMalformed (KF175), and BundleUnsafe (KF176) for a name that leaves the folder."""
    if len(data) > MANIFEST_LIMIT_BYTES:
        raise BundleUnsafe(path=path, detail=f"its manifest is larger than {MANIFEST_LIMIT_BYTES} bytes")
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleMalformed(path=path, detail=str(error)[:200]) from error
    seen: set[str] = set()
    for one in manifest.files:
        if not is_safe(one.path) or one.path == MANIFEST:
            raise BundleUnsafe(path=path, detail=f"it names the file {one.path[:80]!r}")
        # Two names that differ in case alone are one file on some disks.
        if one.path.casefold() in seen:
            raise BundleMalformed(path=path, detail=f"it names {one.path[:80]!r} twice")
        seen.add(one.path.casefold())
    folders = {"/".join(one.split("/")[:depth]) for one in seen for depth in range(1, one.count("/") + 1)}
    if both := folders & seen:
        raise BundleMalformed(path=path, detail=f"{min(both)[:80]!r} is a file and a folder")
    if manifest.size > BUNDLE_LIMIT_BYTES:
        raise BundleUnsafe(path=path, detail=f"its files have {manifest.size} bytes; {BUNDLE_LIMIT_BYTES} are allowed")
    return manifest


def is_safe(name: str) -> bool:
    """Whether a path stays below its folder and means the same on every system."""
    return len(name) <= 255 and all(_PART.fullmatch(part) and part[-1] not in " ." for part in name.split("/"))


def describe(folder: Path, version: str, arch: str, created: str, python: tuple[str, ...]) -> Manifest:
    """The manifest of what lies in `folder` now; whoever makes a bundle writes it there as bundle.json (`encode`)."""
    files = tuple(
        BundleFile(path=str(path.relative_to(folder)), sha256=digest(path), size=path.stat().st_size)
        for path in _files_of(folder)
        if path.relative_to(folder) != Path(MANIFEST)
    )
    made = Manifest(format=1, version=version, arch=arch, created=created, files=files, python=python)
    return read_manifest(encode(made), folder)


def encode(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=1) + b"\n"


def verify(folder: Path) -> Manifest:
    """Whether a folder holds what its bundle.json says: each file, whole, and nothing else.

    Raises BundleMalformed (KF175), BundleUnsafe (KF176: links, odd files, what isn't listed) or BundleDamaged (KF177).
    """
    try:
        with (folder / MANIFEST).open("rb") as file:
            manifest = read_manifest(file.read(MANIFEST_LIMIT_BYTES + 1), folder)
    except OSError as error:
        raise BundleMalformed(path=folder, detail=f"{MANIFEST}: {error.strerror}") from error
    present = {str(path.relative_to(folder)): path for path in _files_of(folder)}
    listed = {one.path for one in manifest.files} | {MANIFEST}
    if extra := present.keys() - listed:
        raise BundleUnsafe(path=folder, detail=f"it holds {min(extra)[:80]!r}, which is not listed")
    for one in manifest.files:
        if one.path not in present:
            raise BundleDamaged(path=folder, file=one.path, detail="it is missing")
        _compare(folder, one, present[one.path].stat().st_size, digest(present[one.path]))
    return manifest


def pack(folder: Path, tar: Path) -> Manifest:
    """Write a verified folder as a tar whose bytes depend on its files alone, bundle.json first."""
    manifest = verify(folder)
    part = tar.with_name(f".{tar.name}.part")
    with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in (MANIFEST, *sorted(one.path for one in manifest.files)):
            path = folder / name
            info = tarfile.TarInfo(f"{manifest.name}/{name}")
            info.size = path.stat().st_size
            info.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            with path.open("rb") as file:
                archive.addfile(info, file)
    part.replace(tar)
    return manifest


def unpack(tar: Path, into: Path) -> tuple[Path, Manifest]:
    """Unpack and verify a tar below `into`; returns the bundle's folder there. What was begun is removed on a fault.

    Raises BundleMalformed (KF175), BundleUnsafe (KF176), BundleDamaged (KF177), DiskSpaceLow (KF35), OSError.
    """
    into.mkdir(parents=True, exist_ok=True)
    folder: Path | None = None
    try:
        with tarfile.open(tar, "r:") as archive:
            manifest, members = _begin(tar, archive)
            _require_space(into, manifest)
            folder = into / manifest.name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (folder / MANIFEST).write_bytes(encode(manifest))
            _extract(tar, archive, members, manifest, folder)
    except (tarfile.TarError, EOFError) as error:
        _remove(folder)
        raise BundleDamaged(path=tar, file=tar.name, detail=str(error)[:200]) from error
    except BaseException:
        _remove(folder)
        raise
    return folder, manifest


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _begin(tar: Path, archive: tarfile.TarFile) -> tuple[Manifest, Iterator[tarfile.TarInfo]]:
    members = iter(archive)
    first = next(members, None)
    stream = archive.extractfile(first) if first is not None and first.isreg() else None
    if first is None or stream is None or not first.name.endswith(f"/{MANIFEST}"):
        raise BundleMalformed(path=tar, detail=f"it does not begin with {MANIFEST}")
    manifest = read_manifest(stream.read(MANIFEST_LIMIT_BYTES + 1), tar)
    if first.name != f"{manifest.name}/{MANIFEST}":
        raise BundleMalformed(path=tar, detail=f"its folder is not called {manifest.name}")
    return manifest, members


def _extract(
    tar: Path, archive: tarfile.TarFile, members: Iterator[tarfile.TarInfo], manifest: Manifest, folder: Path
) -> None:
    wanted = {f"{manifest.name}/{one.path}": one for one in manifest.files}
    for member in members:
        if member.isdir():
            continue  # folders follow from the files
        if not member.isreg():
            raise BundleUnsafe(path=tar, detail=f"{member.name[:80]!r} is no plain file")
        one = wanted.pop(member.name, None)
        if one is None:
            raise BundleUnsafe(path=tar, detail=f"it holds {member.name[:80]!r}, which is not listed, or twice")
        if member.size != one.size:
            _compare(tar, one, member.size, one.sha256)
        target = folder / one.path
        target.parent.mkdir(parents=True, exist_ok=True)
        stream = archive.extractfile(member)
        assert stream is not None
        _compare(tar, one, *_copy(stream, target, executable=bool(member.mode & 0o100)))
    for missing in wanted.values():
        raise BundleDamaged(path=tar, file=missing.path, detail="it is missing")


def _copy(stream: IO[bytes], target: Path, executable: bool) -> tuple[int, str]:
    hashed, size = hashlib.sha256(), 0
    mode = 0o755 if executable else 0o644
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as file:
        while chunk := stream.read(_CHUNK):
            hashed.update(chunk)
            size += len(chunk)
            file.write(chunk)
    return size, hashed.hexdigest()


def _compare(bundle: Path, one: BundleFile, size: int, sha256: str) -> None:
    if size != one.size:
        raise BundleDamaged(path=bundle, file=one.path, detail=f"it has {size} bytes instead of {one.size}")
    if sha256 != one.sha256:
        raise BundleDamaged(path=bundle, file=one.path, detail="its SHA-256 is another")


def _files_of(folder: Path) -> Iterator[Path]:
    """Every plain file below `folder`, sorted. Raises BundleUnsafe (KF176) for links and devices."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise BundleUnsafe(path=folder, detail=f"{str(path.relative_to(folder))[:80]!r} is no plain file")
        if path.is_file():
            yield path


def _require_space(into: Path, manifest: Manifest) -> None:
    needed_mb = manifest.size // 1_000_000 + SPARE_MB
    free_mb = shutil.disk_usage(into).free // 1_000_000
    if free_mb < needed_mb:
        raise DiskSpaceLow(path=into, free_mb=free_mb, needed_mb=needed_mb)


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
