"""The site file, with a version: of the two of a pair the one that was changed more often is newer, then the later one.

Somebody changes it with an editor; that it is another one shows by its digest, which stands beside it with the version.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import msgspec
from msgspec import Struct

from edge_server.errors import SiteNotTaken
from node.trust.keys import write_whole
from protocol.errors import SiteUnreadable
from protocol.site import parse_site
from protocol.site_check import faults

BESIDE = "pair-site.json"
LIMIT_BYTES = 4 * 1024 * 1024


class SharedSite(Struct, frozen=True, kw_only=True, order=True):
    """text: "" where there is none, which is older than any."""

    version: int = 0
    at_ms: int = 0
    text: str = ""


class _Known(Struct, frozen=True, kw_only=True):
    version: int
    at_ms: int
    digest: str


class SiteFile:
    """Safe from any thread."""

    def __init__(self, path: Path, home: Path) -> None:
        self._path, self._beside = path, home / BESIDE
        self._lock = threading.RLock()

    def now(self) -> SharedSite:
        """Notes a change since the last look. Raises OSError, UnicodeDecodeError."""
        with self._lock:
            return self._look()

    def merge(self, theirs: SharedSite) -> bool:
        """Take over a newer one; whether the file is another one now. Raises SiteNotTaken (KF218) for one that can't be
        used, and leaves ours as it is."""
        with self._lock:
            mine = self._look()
            if not theirs.text or theirs <= mine:
                return False
            if theirs.text != mine.text:
                _check(theirs.text)
                write_whole(self._path, theirs.text.encode())
            self._keep(theirs)
            return theirs.text != mine.text

    def _look(self) -> SharedSite:
        if not self._path.is_file():
            return SharedSite()
        text, known = self._path.read_text("utf-8"), self._known()
        if known is None or known.digest != _digest(text):
            at_ms = int(self._path.stat().st_mtime * 1000)
            known = self._keep(SharedSite(version=known.version + 1 if known else 1, at_ms=at_ms, text=text))
        return SharedSite(version=known.version, at_ms=known.at_ms, text=text)

    def _known(self) -> _Known | None:
        try:
            return msgspec.json.decode(self._beside.read_bytes(), type=_Known)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def _keep(self, one: SharedSite) -> _Known:
        known = _Known(version=one.version, at_ms=one.at_ms, digest=_digest(one.text))
        write_whole(self._beside, msgspec.json.encode(known))
        return known


def _check(text: str) -> None:
    try:
        wrong = faults(parse_site(text))
    except SiteUnreadable as error:
        raise SiteNotTaken(detail=error.cause_text) from error
    if wrong:
        raise SiteNotTaken(detail=f"{wrong[0].where}: {wrong[0].text}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
