"""Handing files of the mirror on: whole or from an offset, and never faster than the site's network may bear."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from edge_server.errors import NotKnown

CHUNK_BYTES = 64 * 1024
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{1,15})?\Z")


class Throttle:
    """A bound on what all downloads send together, in bytes a second; 0 for none. On one event loop."""

    def __init__(self, bytes_per_s: int) -> None:
        self._rate = bytes_per_s
        self._free_at_s = 0.0

    async def take(self, count: int) -> None:
        if self._rate <= 0:
            return
        now_s = time.monotonic()
        begins_s = max(self._free_at_s, now_s)
        self._free_at_s = begins_s + count / self._rate
        if begins_s > now_s:
            await asyncio.sleep(begins_s - now_s)


def serve(root: Path, name: str, request: Request, throttle: Throttle) -> Response:
    """A file below `root`; raises NotKnown (KF92). Understands one range of bytes."""
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()) or not path.is_file() or path.suffix == ".part" or path.name[0] == ".":
        raise NotKnown(kind="file", name=name[:80])
    size = path.stat().st_size
    first, last = 0, size - 1
    headers = {"accept-ranges": "bytes", "cache-control": "no-cache"}
    found = _RANGE.match(request.headers.get("range", ""))
    if found:
        first = int(found[1])
        last = min(int(found[2]) if found[2] else last, last)
        if first > last:
            return Response(status_code=416, headers={**headers, "content-range": f"bytes */{size}"})
        headers["content-range"] = f"bytes {first}-{last}/{size}"
    headers["content-length"] = str(last - first + 1)
    body = _chunks(path, first, last - first + 1, throttle)
    return StreamingResponse(body, 206 if found else 200, headers, media_type="application/octet-stream")


async def _chunks(path: Path, offset: int, count: int, throttle: Throttle) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while count > 0:
            chunk = await asyncio.to_thread(file.read, min(CHUNK_BYTES, count))
            if not chunk:
                return
            await throttle.take(len(chunk))
            count -= len(chunk)
            yield chunk
