"""uvicorn behind a door: every request's body comes within its time, and every answer is taken within its time."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from asyncio import sslproto
from collections.abc import Sequence
from typing import Literal

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.door.listener import Door, Visit
from node.errors import RequestTooSlow

SWEEP_EVERY_S = 1.0
# asyncio sets a quarter of a megabyte aside for what a TLS connection may send; a record has 16 KiB.
TLS_BUFFER_BYTES = 16 * 1024


class DoorServer(uvicorn.Server):
    """tls: HTTPS by it, None for plain HTTP. ticked_s: when its event loop last came round, monotonic."""

    ticked_s = 0.0

    def __init__(
        self, app: ASGIApp, door: Door, tls: ssl.SSLContext | None = None, lifespan: Literal["on", "off"] = "off"
    ) -> None:
        self._door, self._swept_s = door, 0.0
        if hasattr(sslproto.SSLProtocol, "max_size"):
            sslproto.SSLProtocol.max_size = TLS_BUFFER_BYTES
        super().__init__(
            uvicorn.Config(
                Punctual(app, door),
                http="h11",
                # The door's sockets need this loop; nothing here speaks WebSocket.
                loop="asyncio",
                ws="none",
                log_config=None,
                # What strangers send wrongly is answered, and no line of the log.
                log_level="error",
                access_log=False,
                server_header=False,
                # Who asks is whom the socket says, not what a header claims.
                proxy_headers=False,
                timeout_graceful_shutdown=2,
                lifespan=lifespan,
                # A context of ours instead of files: it shows a renewed certificate without a restart.
                ssl_context_factory=None if tls is None else lambda *_: tls,
            )
        )

    async def startup(self, sockets: Sequence[socket.socket] | None = None) -> None:
        await super().startup([self._door.watch(one) for one in sockets or ()])

    async def on_tick(self, counter: int) -> bool:
        self.ticked_s = time.monotonic()
        if self.ticked_s - self._swept_s >= SWEEP_EVERY_S:
            self._swept_s = self.ticked_s
            self._door.sweep()
        return await super().on_tick(counter)


class Punctual:
    """An application whose requests and answers keep to their times. What came by no watched socket passes as it is."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = self._door.find(scope.get("client")) if scope["type"] == "http" else None
        if visit is None:
            await self._app(scope, receive, send)
            return
        visit.asks()
        try:
            request = _Request(visit, receive, send, self._door.doorman.limits.body_ms / 1000)
            await self._app(scope, request.receive, request.send)
        finally:
            visit.answered()


class _Request:
    def __init__(self, visit: Visit, receive: Receive, send: Send, body_s: float) -> None:
        self._visit, self._receive, self._send = visit, receive, send
        self._until_s = time.monotonic() + body_s
        self._whole = self._answering = False

    async def receive(self) -> Message:
        """Raises RequestTooSlow (KF186) while there is no answer yet; later the connection ends instead."""
        if self._whole:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._until_s - time.monotonic()))
        except TimeoutError as error:
            if not self._answering:
                raise RequestTooSlow from error
            self._visit.cut()
            return {"type": "http.disconnect"}
        self._whole = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        self._answering = True
        self._visit.blocked(True)
        try:
            await self._send(message)
        finally:
            self._visit.blocked(False)
