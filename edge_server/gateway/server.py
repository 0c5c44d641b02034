"""uvicorn in a thread: the gateway's socket, opened before anything is promised and closed in good order."""

from __future__ import annotations

import socket
import threading
import time

import uvicorn

from edge_server.gateway.app import Gateway

STOP_WITHIN_S = 3.0


class GatewayServer:
    """`start` returns once the door is open, and raises OSError when the port is taken. port 0 takes a free one; `port`
    then tells which."""

    def __init__(self, gateway: Gateway, host: str = "127.0.0.1", port: int = 8800) -> None:
        self._gateway = gateway
        self._host = host
        self.port = port
        config = uvicorn.Config(
            gateway.app,
            log_config=None,
            access_log=False,
            server_header=False,
            # Who asks is whom the socket says, not what a header claims.
            proxy_headers=False,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # asyncio turns Nagle's algorithm off only where the protocol is named; with it an event would wait for 40 ms.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._host, self.port))
            listener.listen(128)
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="gateway", daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)

    def stop(self) -> None:
        self._gateway.close()
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_WITHIN_S)
