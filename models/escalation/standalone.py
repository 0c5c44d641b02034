"""A tier's member behind a door of its own, on this machine: where neither edge server nor cloud runs, and to put two
tiers side by side."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from models.errors import TierTokenMissing
from models.escalation.served import Served
from models.serving.answers import error_object, status_of, told_to
from models.serving.entry import admit, tenant_of
from models.serving.keys import KeyFile
from models.serving.metrics import CONTENT_TYPE, exposition
from node.door.listener import Door
from node.door.server import DoorServer
from node.errors import PortInUse
from node.ports import LOOPBACK
from protocol.errors import KinflowError

LOOK_S = 0.2


class TierServer:
    """On loopback alone. `start` returns once the door is open; port 0 takes a free one, and `port` tells which.
    Raises PortInUse (KF48)."""

    def __init__(self, served: Served, port: int, token: str) -> None:
        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            yield
            await served.close()

        app = FastAPI(title="Kinflow tier", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
        for router in served.routers():
            app.include_router(router)

        @app.get("/metrics", response_class=Response)
        def metrics() -> Response:
            return Response(exposition(served.service), media_type=CONTENT_TYPE)

        @app.get("/healthz", response_class=JSONResponse)
        def healthz() -> JSONResponse:
            problems = served.service.problems()
            return JSONResponse({"ok": not problems, "problems": problems}, 503 if problems else 200)

        self._served = served
        self._server = DoorServer(_Gate(app, token, served.service.keys), Door(None), lifespan="on")
        # Named as TCP: asyncio sends small answers at once on such sockets alone.
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind((LOOPBACK, port))
            self._listener.listen(64)
        except OSError as error:
            self._listener.close()
            raise PortInUse(port=port, host=LOOPBACK, user="another program") from error
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],), name="tier", daemon=True)

    def start(self) -> None:
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            threading.Event().wait(0.005)

    def stop(self) -> None:
        """Once the answers under way have ended, or some seconds later."""
        self._served.drain()
        self._server.should_exit = True
        self._thread.join()

    def run(self, stopping: threading.Event) -> None:
        """Serve until `stopping` is set."""
        while not stopping.wait(LOOK_S) and self._thread.is_alive():
            pass
        self.stop()


class _Gate:
    """Lets in whoever brings the token, or to `/v1` a key; `/healthz` tells nobody's secrets."""

    def __init__(self, app: ASGIApp, token: str, keys: KeyFile | None) -> None:
        self._app, self._token, self._keys = app, token, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == "/healthz":
            await self._app(scope, receive, send)
            return
        try:
            tenant = await tenant_of(scope, self._token, self._keys)
            if tenant is None or (tenant and not scope["path"].startswith("/v1/")):
                raise TierTokenMissing()
        except KinflowError as error:
            told = told_to(scope["path"], error) or error_object(error)
            await JSONResponse(told, status_of(error))(scope, receive, send)
            return
        admit(scope, tenant)
        await self._app(scope, receive, send)
