"""The fault panel: faults over HTTP on loopback, for whoever has the token.

GET /faults lists them; PUT /faults/cameras/<id>, /faults/controllers/<id> and /faults/links/<name> set one (see
FaultDesk.apply). Every request needs `Authorization: Bearer <token>`, and a Host that is this machine's own name.
"""

from __future__ import annotations

import hmac
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from node.errors import PortInUse
from protocol.errors import KinflowError
from sim_devices.faults.desk import FaultDesk

HOST = "127.0.0.1"
LIMIT_BYTES = 64 * 1024


class FaultPanel:
    """Serves `desk` on a loopback port (0: any free one). Raises PortInUse (KF48)."""

    def __init__(self, desk: FaultDesk, token: str, port: int = 0) -> None:
        try:
            self._server = _Server(desk, token, port)
        except OSError as error:
            raise PortInUse(port=port, host=HOST, user="another program") from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="faults", daemon=True)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_address[1]}/faults"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, desk: FaultDesk, token: str, port: int) -> None:
        self.desk = desk
        self.token = token
        super().__init__((HOST, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no event."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5

    def do_GET(self) -> None:
        if self._allowed():
            if self.path == "/faults":
                self._answer(200, self.server.desk.state())
            else:
                self._answer(404, {"error": "GET /faults lists everything"})

    def do_PUT(self) -> None:
        if not self._allowed():
            return
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdecimal() or int(length) > LIMIT_BYTES:
            self._answer(413, {"error": f"say the length of the body, at most {LIMIT_BYTES} bytes"})
            return
        body = self.rfile.read(int(length))
        try:
            self.server.desk.apply(self.path.removeprefix("/faults/"), body)
        except KinflowError as error:
            self._answer(404, {"error": str(error), "code": error.code})
            return
        self._answer(200, self.server.desk.state())

    def _allowed(self) -> bool:
        name = self.headers.get("Host", "").rsplit(":", 1)[0]
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if name not in (HOST, "localhost"):
            self._answer(403, {"error": "this panel answers to its own machine alone"})
        elif not hmac.compare_digest(given.encode(), self.server.token.encode()):
            self._answer(401, {"error": "the token is missing or wrong"})
        else:
            return True
        return False

    def _answer(self, status: int, values: dict[str, Any]) -> None:
        body = msgspec.json.encode(values)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a header of a request carries the token."""
