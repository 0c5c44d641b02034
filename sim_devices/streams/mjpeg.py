"""A small HTTP server for cameras: /{camera}.mjpg is a stream of JPEGs, /{camera}.jpg the newest one, / their list.

Each part of a stream carries, beside its type and length, when it was captured: X-Captured-Ms (Unix milliseconds),
X-Captured-Mono-Ms (the maker's monotonic clock) and X-Frame (a number that rises).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from node.errors import PortInUse
from protocol.ids import CameraId
from sim_devices.streams.channel import Channel, Picture

BOUNDARY = "kinflow-frame"
WAIT_S = 1.0
SEND_TIMEOUT_S = 5.0


class MjpegServer:
    """Serves the channels of `cameras` on a loopback port (0: any free one). Raises PortInUse (KF48)."""

    def __init__(self, cameras: Iterable[CameraId], port: int = 0, host: str = "127.0.0.1") -> None:
        self.channels = {camera: Channel() for camera in cameras}
        try:
            self._server = _Server((host, port), self.channels)
        except OSError as error:
            raise PortInUse(port=port, host=host, user="another program") from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="mjpeg", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def url(self, camera: CameraId) -> str:
        host, port = self.address
        return f"http://{host}:{port}/{camera}.mjpg"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        for channel in self.channels.values():
            channel.close()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], channels: dict[CameraId, Channel]) -> None:
        self.channels = channels
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that goes away is no event."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = SEND_TIMEOUT_S

    def do_GET(self) -> None:
        name, _, form = self.path.lstrip("/").partition("?")[0].rpartition(".")
        channel = self.server.channels.get(CameraId(name))
        if self.path == "/":
            self._answer(200, "text/plain", "".join(f"/{one}.mjpg\n" for one in self.server.channels).encode())
        elif channel is None or form not in ("mjpg", "jpg"):
            self._answer(404, "text/plain", b"no such camera\n")
        elif not channel.open:
            self._answer(503, "text/plain", b"this camera is dead\n")
        elif form == "mjpg":
            self._stream(channel)
        else:
            picture = channel.newer(-1, WAIT_S)
            if picture is None:
                self._answer(503, "text/plain", b"no picture\n")
            else:
                self._answer(200, "image/jpeg", picture.jpeg, _stamps(picture))

    def _answer(self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, channel: Channel) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        last = -1
        while channel.open:
            picture = channel.newer(last, WAIT_S)
            if picture is None:
                continue
            last = picture.number
            headers = {"Content-Type": "image/jpeg", "Content-Length": str(len(picture.jpeg)), **_stamps(picture)}
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            self.wfile.write(f"--{BOUNDARY}\r\n{head}\r\n".encode() + picture.jpeg + b"\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: there are five pictures a second."""


def _stamps(picture: Picture) -> dict[str, str]:
    return {
        "X-Captured-Ms": str(picture.captured_ms),
        "X-Captured-Mono-Ms": str(picture.captured_mono_ms),
        "X-Frame": str(picture.number),
    }
