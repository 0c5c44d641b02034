"""The cloud's application: what edges report, what people read, what edges mirror."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.edge_view import EdgeView, view
from cloud.errors import (
    CloudRequestInvalid,
    CloudUnknown,
    PageTokenMissing,
    SignerForeign,
    SignerUnknown,
    StatusStale,
)
from cloud.metrics import CONTENT_TYPE, exposition
from cloud.store import CloudStore
from models.escalation.served import Served, nothing_served
from models.serving.answers import told_to
from models.serving.entry import admit, tenant_of
from models.serving.keys import KeyFile
from node.clock import Clock
from node.errors import CsrRefused, DeviceIdTaken, JoinCodeRefused, JoinCodeUsed, RequestTooSlow, SignatureRefused
from protocol.edge_status import LIMIT_BYTES, decode_status
from protocol.errors import KinflowError, MessageMalformed, MessageTooLarge, MessageVersionUnknown

PAGE = Path(__file__).parent / "page"
# Who gets in without the page's token: what proves itself, what is signed, and what tells nothing.
OPEN = ("/healthz", "/releases/", "/static/", "/api/v1/trust/")
_STATUS: dict[type[KinflowError], int] = {
    SignerUnknown: 401,
    PageTokenMissing: 401,
    SignerForeign: 403,
    StatusStale: 409,
    CloudUnknown: 404,
    CloudRequestInvalid: 422,
    MessageMalformed: 422,
    MessageVersionUnknown: 422,
    MessageTooLarge: 413,
    CsrRefused: 422,
    DeviceIdTaken: 409,
    JoinCodeRefused: 403,
    JoinCodeUsed: 403,
    SignatureRefused: 401,
    RequestTooSlow: 408,
}
_SAFETY_HEADERS = {
    "content-security-policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}

# The edge that a request (its scope and its body) proves to come from, or None.
EdgeOf = Callable[[Scope, bytes], str | None]


@dataclass(frozen=True)
class CloudContext:
    """releases: the folder of signed releases that edges mirror, None without one. trust: routes for joining.
    serving: the member that answers `/v1`, None for none."""

    version: str
    clock: Clock
    store: CloudStore
    edge_of: EdgeOf
    token: str = field(repr=False)
    releases: Path | None = None
    trust: APIRouter | None = None
    serving: Served | None = None


def cloud_app(cloud: CloudContext) -> FastAPI:
    # The documentation pages that FastAPI brings load scripts from elsewhere; the description itself stays.
    app = FastAPI(title="Kinflow cloud", version=cloud.version, docs_url=None, redoc_url=None)

    app.add_middleware(_Gate, token=cloud.token, keys=None if cloud.serving is None else cloud.serving.service.keys)

    def views() -> list[EdgeView]:
        now_ms = cloud.clock.wall_ms()
        return [view(row, now_ms) for row in cloud.store.edges()]

    @app.post("/api/v1/edges/{edge}/status", status_code=204, response_class=Response)
    async def report(edge: str, request: Request) -> Response:
        """An edge server's status (protocol/edge_status.py), signed by it. Sending one again does no harm."""
        body = await _body(request)
        signer = cloud.edge_of(request.scope, body)
        if signer is None:
            raise SignerUnknown
        status = decode_status(body)
        if not signer == edge == status.edge:
            raise SignerForeign(signer=signer[:80], edge=status.edge if signer == edge else edge[:80])
        verdict = await asyncio.to_thread(cloud.store.receive, status, cloud.clock.wall_ms())
        if verdict == "refused":
            raise SignerUnknown
        if verdict == "stale":
            raise StatusStale(edge=edge)
        return Response(status_code=204)

    @app.get("/api/v1/edges")
    def edges() -> Response:
        """Every edge server that has joined, with the latest that it said."""
        return Response(msgspec.json.encode({"edges": views()}), media_type="application/json")

    @app.get("/api/v1/edges/{edge}")
    def one(edge: str) -> Response:
        for found in views():
            if found.edge == edge:
                return Response(msgspec.json.encode(found), media_type="application/json")
        raise CloudUnknown(what=f"edge {edge[:80]!r}")

    @app.get("/healthz")
    def healthz() -> JSONResponse:
        """200 while the store answers, and no step of the member is stuck."""
        try:
            cloud.store.edges()
        except Exception as error:
            return JSONResponse({"ok": False, "problems": [f"the store: {type(error).__name__}"]}, 503)
        problems = [] if cloud.serving is None else cloud.serving.service.problems()
        return JSONResponse({"ok": not problems, "problems": problems}, 503 if problems else 200)

    @app.get("/metrics", response_class=Response)
    def metrics() -> Response:
        """Prometheus's text format."""
        return Response(
            exposition(views(), None if cloud.serving is None else cloud.serving.service), media_type=CONTENT_TYPE
        )

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", media_type="text/html")

    app.mount("/static", StaticFiles(directory=PAGE), name="static")
    if cloud.releases is not None and cloud.releases.is_dir():
        app.mount("/releases", StaticFiles(directory=cloud.releases), name="releases")
    for router in nothing_served() if cloud.serving is None else cloud.serving.routers():
        app.include_router(router)
    if cloud.trust is not None:
        app.include_router(cloud.trust)
    app.add_exception_handler(KinflowError, _kinflow_error)
    app.add_exception_handler(HTTPException, _http_error)
    return app


class _Gate:
    """In front of every route: who is let in, and the safety headers. Plain ASGI, so that an error of reading a body is
    still itself where it is answered."""

    def __init__(self, app: ASGIApp, token: str, keys: KeyFile | None) -> None:
        self._app, self._token, self._keys = app, token, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def safe_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_SAFETY_HEADERS)
            await send(message)

        try:
            if not _is_open(Request(scope)):
                tenant = await tenant_of(scope, self._token, self._keys)
                # A key opens the member, and nothing else.
                if tenant is None or (tenant and not scope["path"].startswith("/v1/")):
                    raise PageTokenMissing
                admit(scope, tenant)
        except KinflowError as error:
            answer, told = _answer(error), told_to(scope["path"], error, _status_of(error))
            if told is not None:
                answer = JSONResponse(told, answer.status_code)
            await answer(scope, receive, safe_send)
            return
        await self._app(scope, receive, safe_send)


def _is_open(request: Request) -> bool:
    path = request.url.path
    reports = request.method == "POST" and path.startswith("/api/v1/edges/")
    return path == "/" or path.startswith(OPEN) or reports


async def _body(request: Request) -> bytes:
    """Never more than the limit, whatever the headers claim."""
    whole = bytearray()
    async for part in request.stream():
        whole += part
        if len(whole) > LIMIT_BYTES:
            raise MessageTooLarge(topic="status", size_bytes=len(whole), limit_bytes=LIMIT_BYTES)
    return bytes(whole)


def _answer(error: KinflowError) -> JSONResponse:
    body = {"code": error.code, "cause": error.cause_text, "advice": error.advice_text}
    return JSONResponse({"error": body}, _status_of(error))


def _status_of(error: KinflowError) -> int:
    return _STATUS.get(type(error), 503)


async def _kinflow_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, KinflowError)
    return _answer(error)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return _answer(CloudUnknown(what=f"page {request.url.path[:80]!r}"))
    answer = _answer(CloudRequestInvalid(detail=str(error.detail)))
    answer.status_code = error.status_code
    return answer
