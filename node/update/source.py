"""Where updates come from: a server (the net, the edge's mirror) or a folder (a USB stick), with the same files in it.

`metadata/` and `targets/` lie below each. Nothing that comes from here is trusted: node/update/targets.py verifies it.
"""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from tuf.api.exceptions import DownloadError, DownloadHTTPError
from tuf.ngclient.fetcher import FetcherInterface

from node.errors import UpdateUnreachable

TIMEOUT_S = 30.0
_CHUNK = 1 << 18


class Source(Protocol):
    """`name` is what people call it. read(path, offset) yields bytes from `offset` on; raises DownloadHTTPError (404:
    not there), DownloadError or OSError."""

    @property
    def name(self) -> str: ...

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]: ...


class FolderSource:
    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self.name = str(folder)

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        wanted = (self._folder / path).resolve()
        if not wanted.is_relative_to(self._folder) or not wanted.is_file():
            raise DownloadHTTPError(f"{self.name} holds no {path}", 404)
        return self._chunks(wanted, offset)

    @staticmethod
    def _chunks(path: Path, offset: int) -> Iterator[bytes]:
        with path.open("rb") as file:
            file.seek(offset)
            while chunk := file.read(_CHUNK):
                yield chunk


class HttpSource:
    """tls: how to speak to an edge, whose certificate nobody else knows; else the system's certificates."""

    def __init__(self, base: str, tls: ssl.SSLContext | None = None) -> None:
        self.name = base
        self._base = base if base.endswith("/") else f"{base}/"
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            # An edge server is in this network, and whatever proxy leads out of it does not lead there.
            urllib.request.ProxyHandler({} if tls is not None else None),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(context=tls or ssl.create_default_context()),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            self._opener.add_handler(handler)

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        request = urllib.request.Request(self._base + path)  # noqa: S310 (open_source lets http(s) through alone)
        if offset:
            request.add_header("Range", f"bytes={offset}-")
        try:
            response = self._opener.open(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            error.close()
            raise DownloadHTTPError(f"{self.name} answered {error.code} for {path}", error.code) from error
        skip = offset if response.status == 200 else 0  # a server that knows no ranges begins anew
        return self._chunks(response, skip)

    @staticmethod
    def _chunks(response: urllib.response.addinfourl, skip: int) -> Iterator[bytes]:
        with response:
            while chunk := response.read(_CHUNK):
                if skip >= len(chunk):
                    skip -= len(chunk)
                    continue
                yield chunk[skip:]
                skip = 0


class FirstSource:
    """Several mirrors of one site (an edge server and its pair): the first that answers, and then that one."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = list(sources)

    @property
    def name(self) -> str:
        return self._sources[0].name

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        for number, source in enumerate(self._sources):
            try:
                chunks = source.read(path, offset)
            except DownloadHTTPError:
                raise
            except (DownloadError, OSError):
                if number + 1 == len(self._sources):
                    raise
                continue
            self._sources.insert(0, self._sources.pop(number))
            return chunks
        raise AssertionError("a site has one mirror at least")


class Fetcher(FetcherInterface):
    """A source as python-tuf asks for it; its addresses are paths below the source."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            return self._source.read(url)
        except OSError as error:
            raise DownloadError(str(error)) from error


def open_source(place: str) -> Source:
    """An address (https://…, http://…) or a folder. Raises UpdateUnreachable (KF181) when it is neither."""
    if place.startswith(("https://", "http://")):
        return HttpSource(place)
    if Path(place).is_dir():
        return FolderSource(Path(place))
    raise UpdateUnreachable(source=place or "the source", detail="it is no address and no folder that is there")
