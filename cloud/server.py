"""The cloud's process: a plain door on loopback, and one by TLS for edge servers when they are to be let in."""

from __future__ import annotations

import logging
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from node.ports import check_port_free

STOP_WITHIN_S = 3.0
LOOPBACK = "127.0.0.1"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerFiles:
    """The certificate, with what signed it, and the key that belong to the cloud's own authority."""

    certificate: Path
    key: Path


class Listener:
    """uvicorn in a thread. `start` returns once the door is open; port 0 takes a free one, and `port` tells which."""

    def __init__(self, app: ASGIApp, host: str, port: int, tls: ServerFiles | None = None) -> None:
        self._host, self.port = host, port
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=2,
                ssl_certfile=tls.certificate if tls else None,
                ssl_keyfile=tls.key if tls else None,
            )
        )
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Raises OSError when the port is taken."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Loopback and the network share one port: the kernel gives a connection to the more exact address.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind((self._host, self.port))
            listener.listen(128)
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="cloud-http", daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)

    def stop(self) -> None:
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_WITHIN_S)


def listeners(app: ASGIApp, host: str, port: int, tls: ServerFiles | None) -> list[Listener]:
    """The doors for `host`: on this machine without TLS, beyond it by TLS alone. Raises PortInUse (KF48)."""
    check_port_free(host, port)
    plain = Listener(app, LOOPBACK, port)
    return [plain] if tls is None else [plain, Listener(app, host, port, tls)]
