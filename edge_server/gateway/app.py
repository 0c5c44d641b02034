"""The application: routes behind the guard, and the feed that runs as long as it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

import models.assistant
from edge_server.accounts.me import me_api
from edge_server.accounts.need import marked, need
from edge_server.accounts.routes import accounts_api
from edge_server.assistant.facts import history
from edge_server.assistant.routes import assistant_api
from edge_server.assistant.world import world_of
from edge_server.bundles.routes import bundles_api
from edge_server.bundles.shelf import Shelf
from edge_server.context import EdgeContext
from edge_server.errors import NotKnown, RequestInvalid
from edge_server.gateway.answers import error_body, error_headers, status_of
from edge_server.gateway.corrections import corrections_api
from edge_server.gateway.description import describe
from edge_server.gateway.feed import Feed
from edge_server.gateway.guard import Door, Guard
from edge_server.gateway.health import IngestWatch
from edge_server.gateway.login import login
from edge_server.gateway.metrics import CONTENT_TYPE, exposition
from edge_server.gateway.route_table import RouteTable
from edge_server.gateway.routes import api
from edge_server.signals.modes.routes import modes_api
from edge_server.signals.preemption.episode_routes import episodes_api
from edge_server.signals.preemption.routes import preemption_api
from edge_server.updates.routes import updates_api
from edge_server.updates.serving import Throttle
from models.assistant.desk import Desk
from models.assistant.world import Point, World
from models.assistant.world_file import WorldTeller
from models.escalation.served import nothing_served
from protocol.errors import KinflowError

DASHBOARD = Path(__file__).parent.parent / "dashboard"
CHAT = Path(models.assistant.__file__).parent / "page"
LOOK_EVERY_S = 1.0


class Gateway:
    """`app` is what a server runs; `close` ends the streams, so that it can stop."""

    def __init__(
        self, edge: EdgeContext, hosts: frozenset[str] = frozenset(), beat: Callable[[], None] = lambda: None
    ) -> None:
        """hosts: names besides loopback by which people call this server, without a port. beat: called each second by
        the loop that answers."""
        self._edge = edge
        self._beat = beat
        self._watch = IngestWatch()
        self._service = None if edge.serving is None else edge.serving.service
        self.feed = Feed(edge)
        # The documentation pages that FastAPI brings load scripts from elsewhere; the description itself stays.
        self.inner = FastAPI(
            title="Kinflow edge server",
            version=edge.version,
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            lifespan=self._lifespan,
        )
        self._desk = Desk(edge.home or Path("none"), edge.clock, tier="edge", passphrase=edge.passphrase)
        self._teller = None if edge.home is None else WorldTeller(edge.home, "edge", self._world, self._history)
        self._add_routes()
        keys = None if self._service is None else self._service.keys
        door = Door(edge.accounts, frozenset(host.lower() for host in hosts), edge.device_of, keys)
        self.routes = RouteTable(self.inner)
        self.app = Guard(self.inner, door, self.routes)

    def close(self) -> None:
        """Answers of the member under way are given some seconds to end."""
        if self._edge.serving is not None:
            self._edge.serving.drain()
        self.feed.close()

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        self.feed.attach()
        tasks = [asyncio.create_task(self.feed.run()), asyncio.create_task(self._look())]
        try:
            yield
        finally:
            self.feed.close()
            tasks[1].cancel()
            await tasks[0]
            with suppress(asyncio.CancelledError):
                await tasks[1]
            await asyncio.to_thread(self._desk.close)
            if self._edge.serving is not None:
                await self._edge.serving.close()

    async def _look(self) -> None:
        while True:
            self._beat()
            if self._teller is not None:
                self._teller.look()
            self._watch = self._watch.look(self._edge.figures(), self._edge.clock.monotonic_ms())
            await asyncio.sleep(LOOK_EVERY_S)

    def _world(self) -> World:
        return world_of(self.feed.board, self._edge.device, self._edge.clock.wall_ms())

    def _history(self, approach: str, minutes: int) -> list[Point]:
        return history(self._edge.read, approach, minutes, self._edge.clock.wall_ms())

    def _add_routes(self) -> None:
        inner = self.inner
        inner.include_router(api(self._edge, self.feed))
        inner.include_router(corrections_api(self._edge, self.feed))
        inner.include_router(assistant_api(self._edge, self.feed, self._desk))
        inner.include_router(bundles_api(Shelf(self._edge.bundles)))
        if self._edge.updates is not None:
            inner.include_router(updates_api(self._edge.updates, Throttle(self._edge.serve_bytes_s)))
        if self._edge.signals is not None:
            inner.include_router(modes_api(self._edge.signals, self._edge.accounts))
        if self._edge.episodes is not None:
            inner.include_router(episodes_api(self._edge.episodes))
        if self._edge.preemption is not None and self._edge.wave is not None:
            inner.include_router(preemption_api(self._edge.preemption, self._edge.wave, self._edge.accounts))
        serving = self._edge.serving
        member, tiers = nothing_served() if serving is None else serving.routers()
        inner.include_router(marked(member, "model"))
        inner.include_router(marked(tiers, "viewer"))
        inner.include_router(me_api(self._edge.accounts))
        inner.include_router(accounts_api(self._edge.accounts))
        for router in self._edge.trust.routers() if self._edge.trust is not None else ():
            inner.include_router(router)
        inner.include_router(login(self._edge.accounts))
        inner.add_exception_handler(KinflowError, _kinflow_error)
        inner.add_exception_handler(RequestValidationError, _invalid)
        inner.add_exception_handler(HTTPException, _http_error)

        @inner.get("/metrics", tags=["health"], response_class=Response)
        @need("viewer")
        async def metrics() -> Response:
            """Prometheus's text format."""
            body = exposition(self._edge.figures(), self.feed.state(), self.feed.readers, self._service)
            return Response(body, media_type=CONTENT_TYPE)

        @inner.get("/healthz", tags=["health"], response_class=JSONResponse)
        @need("public")
        async def healthz() -> JSONResponse:
            """200 while the server does its work, else 503 and what is wrong."""
            problems = [*self._watch.problems(self._edge.figures(), self._edge.clock.monotonic_ms())]
            problems += [] if self._service is None else self._service.problems()
            return JSONResponse({"ok": not problems, "problems": problems}, 503 if problems else 200)

        @inner.get("/", include_in_schema=False)
        @need("viewer")
        async def page() -> FileResponse:
            """The dashboard. Who is not let in yet is sent to /login."""
            return FileResponse(DASHBOARD / "index.html", media_type="text/html")

        @inner.get("/openapi.json", include_in_schema=False)
        @need("viewer")
        async def description() -> JSONResponse:
            """This API, described as OpenAPI 3.1."""
            return JSONResponse(describe(inner, self.routes))

        inner.mount("/static/assistant", need("viewer")(StaticFiles(directory=CHAT)), name="assistant")
        inner.mount("/static", need("viewer")(StaticFiles(directory=DASHBOARD)), name="static")


def _answer(error: KinflowError, status: int | None = None) -> JSONResponse:
    return JSONResponse(error_body(error), status or status_of(error), error_headers(error))


async def _kinflow_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, KinflowError)
    return _answer(error)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    """Say where and what, never the value that was sent."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _answer(RequestInvalid(detail=f"{where}: {first['msg']}"), 422)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return _answer(NotKnown(kind="page", name=request.url.path[:80]), 404)
    return _answer(RequestInvalid(detail=str(error.detail)), error.status_code)
