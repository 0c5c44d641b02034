"""uvicorn in a thread: the gateway's socket, opened before anything is promised and closed in good order."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from dataclasses import dataclass

from edge_server.gateway.app import Gateway
from node.door.doorman import Limits
from node.door.listener import Door
from node.door.server import DoorServer
from node.ports import LOOPBACK

STOP_WITHIN_S = 3.0


class GatewayServer:
    """`start` returns once the door is open, and raises OSError when the port is taken. port 0 takes a free one; `port`
    then tells which. tls: `host` speaks HTTPS by it, and this machine plain HTTP on 127.0.0.1, by the same port.
    limits: of each door by itself, so that a crowd from elsewhere shuts nobody out here; None for the usual ones."""

    def __init__(
        self,
        gateway: Gateway,
        host: str = "127.0.0.1",
        port: int = 8800,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._gateway = gateway
        self.port = port
        # The first one runs what the application does besides answering; both answer on one event loop.
        near = LOOPBACK if tls is not None else host
        self._doors = [_Door(near, DoorServer(gateway.app, Door(limits), lifespan="on"))]
        if tls is not None:
            self._doors.append(_Door(host, DoorServer(gateway.app, Door(limits), tls)))
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        listeners: list[socket.socket] = []
        try:
            for door in self._doors:
                listeners.append(_listen(door.host, self.port, shared=len(self._doors) > 1))
                self.port = listeners[0].getsockname()[1]
        except OSError:
            for listener in listeners:
                listener.close()
            raise
        self._thread = threading.Thread(target=self._run, args=(listeners,), name="gateway", daemon=True)
        self._thread.start()
        while not all(door.server.started for door in self._doors) and self._thread.is_alive():
            time.sleep(0.01)

    def stop(self) -> None:
        self._gateway.close()
        for door in self._doors:
            door.server.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_WITHIN_S)

    def _run(self, listeners: list[socket.socket]) -> None:
        asyncio.run(self._serve(listeners))

    async def _serve(self, listeners: list[socket.socket]) -> None:
        pairs = zip(self._doors, listeners, strict=True)
        await asyncio.gather(*(door.server.serve([listener]) for door, listener in pairs))


@dataclass(frozen=True)
class _Door:
    host: str
    server: DoorServer


def _listen(host: str, port: int, shared: bool) -> socket.socket:
    """shared: two sockets of ours on one port, of which the one with the narrower address gets what fits it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it an event would wait for 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
