"""The routes by which a lower tier makes an answer together with this one (protocol/tiers.py)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import Response
from msgspec import Struct

from models.errors import NothingServed
from models.escalation.desk import SessionDesk
from models.serving.api import answered, body_of
from protocol.tiers import LIMIT_BYTES, Closing, Opening, Round, decode, encode

FRAMES = "application/msgpack"
F = TypeVar("F", bound=Struct)


def tiers_api(desk: Callable[[], SessionDesk] | None) -> APIRouter:
    """desk: that of the event loop that asks; None where nothing is served."""
    router = APIRouter(prefix="/v1/tiers", tags=["models"])

    def here() -> SessionDesk:
        if desk is None:
            raise NothingServed(detail="no family is set")
        return desk()

    async def framed(request: Request, kind: type[F], work: Callable[[F], Awaitable[Struct | None]]) -> Response:
        async def answer() -> Response:
            told = await work(decode(kind, await body_of(request, LIMIT_BYTES)))
            return Response(status_code=204) if told is None else Response(encode(told), media_type=FRAMES)

        return await answered(answer)

    @router.post("/open", response_class=Response, responses={200: {"content": {FRAMES: {}}}})
    async def open_(request: Request) -> Response:
        """Begin an answer that a lower tier drafts or hands over; refused where its weights are others."""
        return await framed(request, Opening, lambda asked: here().open(asked))

    @router.post("/round", response_class=Response, responses={200: {"content": {FRAMES: {}}}})
    async def round_(request: Request) -> Response:
        """Take rows in, check a draft, choose. The same round again gives the same verdict."""
        return await framed(request, Round, lambda asked: here().round(asked))

    @router.post("/close", response_class=Response, status_code=204)
    async def close(request: Request) -> Response:
        """End such an answer at once, and not only after half a minute."""

        async def work(asked: Closing) -> None:
            here().close(asked.session)

        return await framed(request, Closing, work)

    return router
