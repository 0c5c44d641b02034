"""What may be installed: files that the maintainers' keys vouch for, by The Update Framework (python-tuf's client).

The framework refuses what too few keys have signed, metadata older than what was seen before (roll-back), metadata that
has expired (freeze), and parts that don't belong together (mix-and-match). Ours on top: `kinflow/stable.json`, itself a
signed target, names the version that is current and when it was published. That time is signed, so the newest one seen
is a floor under a clock that is wrong: time never runs backwards here.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
)
from tuf.api.metadata import Metadata, TargetFile
from tuf.ngclient import Updater

from node.errors import BundleDamaged, DiskSpaceLow, UpdateExpired, UpdateOlder, UpdateUnreachable, UpdateUntrusted
from node.update.durable import write_durably
from node.update.source import Fetcher, Source
from node.update.version import PATTERN

CHANNEL = "kinflow/stable.json"
CHANNEL_LIMIT_BYTES = 64 * 1024
SPARE_MB = 100
_FLOOR = "floor.json"


class Channel(Struct, frozen=True, kw_only=True):
    """What is current. published: ISO 8601 in UTC."""

    format: Literal[1]
    version: Annotated[str, Meta(pattern=PATTERN)]
    published: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")]


class Targets:
    """One source, seen with the eyes of one root of trust. folder: verified metadata, kept from one time to the next.

    Methods raise UpdateUntrusted (KF178), UpdateExpired (KF179), UpdateOlder (KF180), UpdateUnreachable (KF181) or
    OSError.
    """

    def __init__(self, folder: Path, source: Source, root: bytes, now: Callable[[], datetime] | None = None) -> None:
        self._folder, self._source = folder, source
        self._now = now or (lambda: datetime.now(UTC))
        folder.mkdir(parents=True, exist_ok=True)
        with self._told():
            self._updater = Updater(
                str(folder), "metadata/", target_base_url="targets/", fetcher=Fetcher(source), bootstrap=root
            )

    def refresh(self) -> Channel:
        """Verify the newest metadata, and return what is current."""
        with self._told():
            self._updater.refresh()
        self._check_floor()
        channel = self._channel()
        published = _time(channel.published)
        if published < self._floor():
            raise UpdateOlder(source=self._source.name, detail=f"it was published on {channel.published}")
        write_durably(self._folder / _FLOOR, msgspec.json.encode(channel.published))
        self._check_floor()
        return channel

    def find(self, path: str) -> TargetFile | None:
        """A signed target; None when there is none by that name. After `refresh`."""
        with self._told():
            return self._updater.get_targetinfo(path)

    def download(self, target: TargetFile, file: Path) -> Path:
        """Fetch a target to `file`, going on where an earlier attempt ended; whole and verified when this returns.

        Raises BundleDamaged (KF177) when it is not what was signed, and DiskSpaceLow (KF35) before it is begun.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.name}.part")
        if file.is_file() and _is(target, file):
            return file
        resumed = part.stat().st_size if part.is_file() else 0
        if resumed >= target.length:
            resumed = 0
        free_mb, needed_mb = shutil.disk_usage(file.parent).free // 1_000_000, (target.length - resumed) // 1_000_000
        if free_mb < needed_mb + SPARE_MB:
            raise DiskSpaceLow(path=file.parent, free_mb=free_mb, needed_mb=needed_mb + SPARE_MB)
        self._fetch(target, part, resumed)
        if resumed and not _is(target, part):
            self._fetch(target, part, 0)  # what was there from before may be what is wrong
        if not _is(target, part):
            part.unlink()
            raise BundleDamaged(path=self._source.name, file=target.path, detail="it is not what was signed")
        part.replace(file)
        return file

    def raw(self, name: str) -> bytes:
        """Verified metadata as it was signed, for those who hand it on: timestamp, snapshot, targets or a delegate."""
        return (self._folder / f"{name}.json").read_bytes()

    def _fetch(self, target: TargetFile, part: Path, offset: int) -> None:
        folder, _, name = target.path.rpartition("/")
        digest = next(iter(target.hashes.values()))
        received = offset
        with self._told(), part.open("r+b" if offset else "wb") as file:
            file.seek(offset)
            for chunk in self._source.read(f"targets/{folder}{'/' if folder else ''}{digest}.{name}", offset):
                received += len(chunk)
                if received > target.length:
                    raise DownloadLengthMismatchError(f"{target.path} has more bytes than were signed")
                file.write(chunk)
        if received < target.length:
            raise UpdateUnreachable(
                source=self._source.name, detail=f"it ended after {received} of {target.length} bytes of {target.path}"
            )

    def _channel(self) -> Channel:
        found = self.find(CHANNEL)
        if found is None:
            raise UpdateUntrusted(source=self._source.name, detail=f"it has no {CHANNEL}")
        if found.length > CHANNEL_LIMIT_BYTES:
            raise UpdateUntrusted(source=self._source.name, detail=f"its {CHANNEL} has {found.length} bytes")
        file = self.download(found, self._folder / "stable.channel")
        try:
            return msgspec.json.decode(file.read_bytes(), type=Channel)
        except msgspec.DecodeError as error:
            raise UpdateUntrusted(source=self._source.name, detail=f"{CHANNEL}: {error}") from error

    def _floor(self) -> datetime:
        try:
            return _time(msgspec.json.decode((self._folder / _FLOOR).read_bytes(), type=str))
        except (OSError, ValueError, msgspec.DecodeError):
            return datetime.fromtimestamp(0, UTC)

    def _check_floor(self) -> None:
        """The framework compares with this machine's clock; a clock that is too early makes nothing valid again."""
        now = max(self._now(), self._floor())
        for name in ("timestamp", "snapshot", "targets"):
            expires = Metadata.from_bytes(self.raw(name)).signed.expires
            if expires <= now:
                raise UpdateExpired(source=self._source.name, detail=f"its {name} was good until {expires:%Y-%m-%d}")

    @contextmanager
    def _told(self) -> Iterator[None]:
        name = self._source.name
        try:
            yield
        except BadVersionNumberError as error:
            raise UpdateOlder(source=name, detail=str(error)[:200]) from error
        except ExpiredMetadataError as error:
            raise UpdateExpired(source=name, detail=str(error)[:200]) from error
        except (RepositoryError, DownloadLengthMismatchError) as error:
            raise UpdateUntrusted(source=name, detail=str(error)[:200]) from error
        except DownloadError as error:
            raise UpdateUnreachable(source=name, detail=str(error)[:200]) from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise UpdateUnreachable(source=name, detail=str(error)[:200]) from error


def _is(target: TargetFile, file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            target.verify_length_and_hashes(opened)
    except (OSError, LengthOrHashMismatchError):
        return False
    return True


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
