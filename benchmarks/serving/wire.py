"""HTTP/1.1 as a measuring client needs it: one connection a request, each line with the moment at which it came."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec

from benchmarks.errors import ServerUnmeasured

LIMIT_BYTES = 1 << 22
# Of a question by itself: a server may load its weights first.
PATIENCE_S = 600.0


class BadHttp(Exception):
    """What came is no answer of HTTP."""


@dataclass(frozen=True)
class Server:
    """prefix: of the path, up to and with /v1. token: sent as a bearer's, "" for none."""

    host: str
    port: int
    tls: bool = False
    prefix: str = "/v1"
    token: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str, token: str = "") -> Server:
        """From the address that a person has, with /v1 or without. Raises ServerUnmeasured (KF464)."""
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise ServerUnmeasured(url=url, detail=error) from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ServerUnmeasured(url=url, detail="it is no address of HTTP")
        path = parts.path.rstrip("/").removesuffix("/completions").removesuffix("/chat")
        return cls(parts.hostname, port, parts.scheme == "https", path if path.endswith("/v1") else f"{path}/v1", token)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}{self.prefix}"

    def request(self, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> bytes:
        """The whole of a request. path: below the prefix, or from the root where it begins with two slashes."""
        where = path[1:] if path.startswith("//") else f"{self.prefix}{path}"
        head = [f"{method} {where} HTTP/1.1", f"Host: {self.host}:{self.port}", "Connection: close"]
        head += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"] if method == "POST" else []
        head += [f"Authorization: Bearer {self.token}"] if self.token else []
        return "\r\n".join([*head, "", ""]).encode("latin-1") + body


class Reply:
    """status: of HTTP. headers: by their names in small letters."""

    def __init__(self, status: int, headers: dict[str, str], reader: asyncio.StreamReader) -> None:
        self.status, self.headers, self._reader = status, headers, reader

    async def parts(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises BadHttp, and EOFError where its end is missing."""
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            while size := _size(await self._reader.readuntil(b"\r\n")):
                yield (await self._reader.readexactly(size + 2))[:-2]
            return
        left = int(self.headers["content-length"]) if self.headers.get("content-length", "").isdecimal() else None
        while left is None or left > 0:
            part = await self._reader.read(1 << 16)
            if not part:
                if left:
                    raise EOFError("the connection ended within a body")
                return
            left = None if left is None else left - len(part)
            yield part

    async def lines(self) -> AsyncIterator[bytes]:
        rest = b""
        async for part in self.parts():
            *whole, rest = (rest + part).split(b"\n")
            for line in whole:
                yield line.rstrip(b"\r")
        if rest:
            yield rest

    async def whole(self) -> bytes:
        found = bytearray()
        async for part in self.parts():
            found += part
            if len(found) > LIMIT_BYTES:
                raise BadHttp("a body without end")
        return bytes(found)


@asynccontextmanager
async def exchange(server: Server, request: bytes) -> AsyncIterator[Reply]:
    """One request and its answer; leaving closes the connection at once, whatever is still to come. Raises OSError,
    EOFError, BadHttp."""
    context = ssl.create_default_context() if server.tls else None
    reader, writer = await asyncio.open_connection(server.host, server.port, ssl=context, limit=LIMIT_BYTES)
    try:
        writer.write(request)
        await writer.drain()
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        except asyncio.LimitOverrunError as error:
            raise BadHttp("a head without end") from error
        first = head[0].split(" ", 2)
        if len(first) < 2 or not first[0].startswith("HTTP/1.") or not first[1].isdecimal():
            raise BadHttp(head[0][:80])
        pairs = (line.partition(":") for line in head[1:] if line)
        yield Reply(int(first[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}, reader)
    finally:
        writer.transport.abort()


async def asked(server: Server, method: str, path: str, body: object = None) -> tuple[int, object]:
    """Status and JSON of one whole answer. Raises ServerUnmeasured (KF464)."""
    try:
        sent = b"" if body is None else msgspec.json.encode(body)
        async with asyncio.timeout(PATIENCE_S), exchange(server, server.request(method, path, sent)) as reply:
            return reply.status, msgspec.json.decode(await reply.whole() or b"null")
    except (OSError, EOFError, BadHttp, msgspec.DecodeError) as error:
        raise ServerUnmeasured(url=server.url, detail=str(error) or type(error).__name__) from error


def _size(line: bytes) -> int:
    try:
        return int(line.split(b";")[0], 16)
    except ValueError as error:
        raise BadHttp("a chunk without a size") from error
