"""Motion JPEG over HTTP (multipart/x-mixed-replace), read with the standard library alone."""

from __future__ import annotations

import base64
import http.client
import ssl
from email.message import Message
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from agent.camera.jpeg import LARGEST_BYTES, decode
from agent.camera.port import Frame
from agent.camera.source import shown
from agent.errors import CameraRefused, CameraStalled, CameraUnreachable, StreamMalformed
from node.clock import Clock

TIMEOUT_S = 5.0
_LINE_BYTES = 4096
_HEAD_LINES = 64


class MjpegCamera:
    """One GET that never ends. A camera that tells when it took a picture (X-Captured-Ms, X-Captured-Mono-Ms, on this
    machine's clocks) is believed; else a picture is as old as its arrival.

    Raises CameraUnreachable (KF57), CameraRefused (KF62) or StreamMalformed (KF72) when opened.
    """

    def __init__(self, url: str, clock: Clock, timeout_s: float = TIMEOUT_S) -> None:
        self._url, self._clock, self._timeout_s, self._number = url, clock, timeout_s, 0
        self._response: http.client.HTTPResponse | None = None
        try:
            self._connection = _connection(url, timeout_s)
        except ValueError as error:
            raise CameraUnreachable(source=shown(url), detail=str(error)) from error
        try:
            self._connection.request("GET", _path(url), headers=_headers(url))
            response = self._response = self._connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise CameraUnreachable(source=shown(url), detail=str(error) or type(error).__name__) from error
        if response.status != http.client.OK:
            detail = f"{response.status} {response.reason}"
            self.close()
            raise CameraRefused(source=shown(url), detail=detail)
        kind = response.headers.get_content_type()
        boundary = response.headers.get_param("boundary")
        if kind != "multipart/x-mixed-replace" or not isinstance(boundary, str):
            self.close()
            raise StreamMalformed(source=shown(url), detail=f"its content type is {kind}")
        self._boundary = b"--" + boundary.strip('"').removeprefix("--").encode()

    def read(self) -> Frame | None:
        assert self._response is not None
        try:
            head, body = read_part(self._response, self._boundary)
        except TimeoutError as error:
            raise CameraStalled(source=shown(self._url), timeout_s=self._timeout_s) from error
        except (OSError, http.client.HTTPException) as error:
            raise CameraUnreachable(source=shown(self._url), detail=str(error) or type(error).__name__) from error
        except ValueError as error:
            raise StreamMalformed(source=shown(self._url), detail=str(error)) from error
        image = decode(body)
        if image is None:
            raise StreamMalformed(source=shown(self._url), detail="a part of it is no JPEG picture")
        captured_ms = _stamp(head, "X-Captured-Ms", self._clock.wall_ms())
        captured_mono_ms = _stamp(head, "X-Captured-Mono-Ms", self._clock.monotonic_ms())
        frame = Frame(image, captured_ms, captured_mono_ms, self._number)
        self._number += 1
        return frame

    def close(self) -> None:
        if self._response is not None:
            self._response.close()
        self._connection.close()


def read_part(stream: BinaryIO | http.client.HTTPResponse, boundary: bytes) -> tuple[Message, bytes]:
    """One part: its head and its body. ConnectionError at the stream's end, ValueError for what is no multipart."""
    for _ in range(_HEAD_LINES):
        if _line(stream).startswith(boundary):
            break
    else:
        raise ValueError("it has no boundary between pictures")
    head = Message()
    for _ in range(_HEAD_LINES):
        line = _line(stream).strip()
        if not line:
            break
        name, _, value = line.partition(b":")
        head[name.decode("latin-1").strip()] = value.decode("latin-1").strip()
    length = head.get("Content-Length", "")
    if length.isdecimal():
        if int(length) > LARGEST_BYTES:
            raise ValueError(f"a picture of {length} bytes")
        return head, _exactly(stream, int(length))
    return head, _until_boundary(stream, boundary)


def _line(stream: BinaryIO | http.client.HTTPResponse) -> bytes:
    line = stream.readline(_LINE_BYTES)
    if not line:
        raise ConnectionError("the stream ended")
    return line


def _exactly(stream: BinaryIO | http.client.HTTPResponse, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            raise ConnectionError("the stream ended within a picture")
        data += more
    return bytes(data)


def _until_boundary(stream: BinaryIO | http.client.HTTPResponse, boundary: bytes) -> bytes:
    """The body of a part that does not tell its length: up to the next end of a JPEG at the end of a line."""
    data = bytearray()
    while not data.rstrip(b"\r\n").endswith(b"\xff\xd9"):
        line = _line(stream)
        if line.startswith(boundary):
            raise ValueError("a picture breaks off")
        data += line
        if len(data) > LARGEST_BYTES:
            raise ValueError("a picture without an end")
    return bytes(data)


def _connection(url: str, timeout_s: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=context)
    return http.client.HTTPConnection(host, parts.port, timeout=timeout_s)


def _path(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _headers(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    if parts.username is None:
        return {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}


def _stamp(head: Message, name: str, otherwise: int) -> int:
    text = head.get(name, "")
    return int(text) if text.isdecimal() and len(text) <= 15 else otherwise
