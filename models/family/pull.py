"""Fetch weights: from a URL, a folder, or a USB stick. What was cut off goes on where it stopped; nothing that came is
opened before its hash is known here."""

from __future__ import annotations

import http.client
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.engine.trust import fingerprint
from models.errors import PullFailed, PullForeign, WeightsUnreadable
from models.gguf.header import MAGIC, read_header

CHUNK_BYTES = 1 << 20
TIMEOUT_S = 30.0
# Room that stays free on the disk.
SPARE_BYTES = 200 << 20

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Pulled:
    """fetched_bytes: what came now, without what was there."""

    path: Path
    sha256: str
    fetched_bytes: int


def pull(source: str, folder: Path, *, sha256: str | None = None, progress: Progress | None = None) -> Pulled:
    """source: a URL of a .gguf, or the path of one. sha256: what it must be; without one the file is quarantined until
    a person accepts its hash. progress: called with bytes there and in all (0: unknown).
    Raises PullFailed (KF406), after which the same call goes on; PullForeign (KF407)."""
    told = progress or _silent
    address = urllib.parse.urlsplit(source)
    name = Path(urllib.parse.unquote(address.path) if address.scheme in ("http", "https") else source).name
    if not name.endswith(".gguf") or name.startswith("."):
        raise PullFailed(source=source, detail="it does not end in .gguf")
    if sha256 is not None and (len(sha256) != 64 or set(sha256.lower()) - set("0123456789abcdef")):
        raise PullFailed(source=source, detail="the hash given is no SHA-256")
    target, part = folder / name, folder / f".{name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if target.exists():
            return _told(source, target, sha256, 0)
        if address.scheme in ("http", "https"):
            fetched = _download(source, part, told)
        elif address.scheme and not Path(source).exists():
            raise PullFailed(source=source, detail=f"{address.scheme}: is neither http nor https")
        else:
            fetched = _copy(Path(source), part, told)
        pulled = _told(source, part, sha256, fetched)
        part.replace(target)
    except OSError as error:
        raise PullFailed(source=source, detail=error.strerror or error) from error
    return Pulled(target, pulled.sha256, pulled.fetched_bytes)


def _silent(_done: int, _total: int) -> None:
    """Nobody watches."""


def _told(source: str, path: Path, sha256: str | None, fetched: int) -> Pulled:
    """Whether it is what was asked for; what is not is removed, if it came now."""
    found = fingerprint(path)
    wrong = f"its SHA-256 is {found}, not {sha256}" if sha256 is not None and found != sha256.lower() else ""
    try:
        read_header(path)
    except WeightsUnreadable as error:
        wrong = wrong or error.cause_text
    if wrong:
        if path.name.endswith(".part"):
            path.unlink(missing_ok=True)
            _etag(path).unlink(missing_ok=True)
        raise PullForeign(source=source, detail=wrong)
    _etag(path).unlink(missing_ok=True)
    return Pulled(path, found, fetched)


def _copy(source: Path, part: Path, progress: Progress) -> int:
    total = source.stat().st_size
    _require_room(str(source), part, total)
    done = 0
    with source.open("rb") as file, part.open("wb") as into:
        while data := file.read(CHUNK_BYTES):
            into.write(data)
            done += len(data)
            progress(done, total)
        _settle(into)
    return done


def _download(source: str, part: Path, progress: Progress) -> int:
    there = part.stat().st_size if part.exists() else 0
    tag = _etag(part).read_text("utf-8") if _etag(part).exists() else ""
    # Without a tag nobody could tell whether the file at the other end is still the one that was begun.
    headers = {"Range": f"bytes={there}-", "If-Range": tag} if there and tag else {}
    request = urllib.request.Request(source, headers={"User-Agent": "kinflow", **headers})  # noqa: S310 (http or https)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            goes_on = answer.status == http.HTTPStatus.PARTIAL_CONTENT
            there = there if goes_on else 0
            length = answer.headers.get("Content-Length")
            total = there + int(length) if length else 0
            _require_room(source, part, total - there)
            _etag(part).write_text(answer.headers.get("ETag", ""), "utf-8")
            with part.open("ab" if goes_on else "wb") as into:
                done = there
                for data in _chunks(answer):
                    if not done and data[:4] != MAGIC:
                        raise PullForeign(source=source, detail="it does not begin as a GGUF does")
                    into.write(data)
                    done += len(data)
                    progress(done, total)
                _settle(into)
            if total and done < total:
                raise PullFailed(source=source, detail=f"it ended after {done} of {total} bytes")
            return done - there
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and there:
            return 0  # all of it had come
        raise PullFailed(source=source, detail=f"the server answers {error.code} {error.reason}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        raise PullFailed(source=source, detail=getattr(error, "reason", error)) from error


def _chunks(answer: Any) -> Iterator[bytes]:
    while True:
        try:
            data = answer.read(CHUNK_BYTES)
        except http.client.IncompleteRead as error:
            # What came before the connection broke is kept.
            yield error.partial
            return
        if not data:
            return
        yield data


def _require_room(source: str, part: Path, more: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if more + SPARE_BYTES > free:
        raise PullFailed(source=source, detail=f"{more >> 20} MB more are needed, {free >> 20} MB are free")


def _settle(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _etag(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")
