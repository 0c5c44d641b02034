"""The routes of `/v1`, for any application that takes a router: edge server, cloud, or a server by itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from models.errors import NothingServed, RequestUnserved
from models.escalation.receipt import Receipt, Terms
from models.serving.answers import error_object, status_of, usage
from models.serving.requests import read_chat, read_completion
from models.serving.service import Prepared, Service
from protocol.errors import KinflowError

LIMIT_BYTES = 4 * 1024 * 1024
EVENTS = "text/event-stream"
_TERMS = {
    "x-kinflow-max-tier": "max_tier",
    "x-kinflow-way": "way",
    "x-kinflow-deadline-s": "deadline_s",
    "x-kinflow-budget-bytes": "budget_bytes",
}
_NO_CONTENT_MODEL: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {}, EVENTS: {}}}}


def serving_api(service: Service | None) -> APIRouter:
    """service: None where nothing is served; the routes then say so."""
    router = APIRouter(prefix="/v1", tags=["models"])

    @router.get("/models", response_class=JSONResponse)
    async def models() -> Response:
        """The member that is served here, as OpenAI's protocol lists models."""

        async def work() -> Response:
            return JSONResponse({"object": "list", "data": [] if service is None else await service.listed()})

        return await answered(work)

    @router.post("/chat/completions", response_class=Response, responses=_NO_CONTENT_MODEL)
    async def chat(request: Request) -> Response:
        """Answer a conversation, in OpenAI's form; with `stream`, as server-sent events."""
        return await answered(lambda: _answer(_served(service), request, chat=True))

    @router.post("/completions", response_class=Response, responses=_NO_CONTENT_MODEL)
    async def completions(request: Request) -> Response:
        """Go on with a text, or with tokens, in OpenAI's form."""
        return await answered(lambda: _answer(_served(service), request, chat=False))

    return router


def _served(service: Service | None) -> Service:
    if service is None:
        raise NothingServed(detail="no family is set")
    return service


async def answered(work: Callable[[], Awaitable[Response]]) -> Response:
    """What `work` answers, or its error in OpenAI's form."""
    try:
        return await work()
    except KinflowError as error:
        return refusal(error)


def refusal(error: KinflowError) -> JSONResponse:
    wait_s = error.fields.get("wait_s")
    headers = {"Retry-After": str(wait_s)} if wait_s is not None else {}
    return JSONResponse(error_object(error), status_of(error), headers)


async def body_of(request: Request, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """Never more than the limit, whatever the headers claim. Raises RequestUnserved (KF501)."""
    whole = bytearray()
    async for part in request.stream():
        whole += part
        if len(whole) > limit_bytes:
            raise RequestUnserved(detail=f"it has more than {limit_bytes} bytes")
    return bytes(whole)


async def _answer(service: Service, request: Request, *, chat: bool) -> Response:
    body = await body_of(request)
    prepared = await service.prepare(read_chat(body) if chat else read_completion(body), terms_of(request.headers))
    if prepared.stream:
        return StreamingResponse(
            await begun(_events(service, prepared)), media_type=EVENTS, headers={"X-Accel-Buffering": "no"}
        )
    told, receipt = await _whole(service, prepared, request)
    return JSONResponse(told, headers={} if receipt is None else receipt.headers())


async def _whole(service: Service, prepared: Prepared, request: Request) -> tuple[dict[str, Any], Receipt | None]:
    text, ended, tokens, receipt = "", "", 0, None
    logprobs: list[dict[str, Any]] | None = [] if prepared.sampling.logprobs is not None else None
    async with aclosing(service.answer(prepared)) as pieces:  # type: ignore[type-var]
        async for said in pieces:
            text, ended, tokens = text + said.text, said.ended, tokens + said.tokens
            receipt = said.receipt
            if logprobs is not None:
                logprobs += said.logprobs or []
            # Nobody reads it any more: a whole answer has no stream whose end would tell.
            if await request.is_disconnected():
                break
    used = usage(len(prepared.prompt), tokens, None if receipt is None else receipt.told())
    return prepared.form.whole(text, ended, logprobs, used), receipt


async def _events(service: Service, prepared: Prepared) -> AsyncIterator[bytes]:
    tokens, receipt, began = 0, None, False
    first = prepared.form.begin()
    async with aclosing(service.answer(prepared)) as pieces:  # type: ignore[type-var]
        try:
            async for said in pieces:
                tokens, receipt, began = tokens + said.tokens, said.receipt, True
                if first is not None:
                    yield event(first)
                    first = None
                # How it ended is told once, with the receipt.
                ended = said.ended if receipt is not None else ""
                if said.text or ended or said.logprobs:
                    yield event(prepared.form.piece(said.text, ended, said.logprobs))
        except KinflowError as error:
            if not began:
                raise
            yield event(error_object(error))
            return
    if prepared.with_usage:
        told = None if receipt is None else receipt.told()
        yield event(prepared.form.usage(usage(len(prepared.prompt), tokens, told)))
    yield b"data: [DONE]\n\n"


def terms_of(headers: Mapping[str, str]) -> Terms:
    """How high a request may go, and what it may cost: `X-Kinflow-Max-Tier`, `-Way`, `-Deadline-S`, `-Budget-Bytes`.
    Raises RequestUnserved (KF501)."""
    given = {field: headers[name] for name, field in _TERMS.items() if name in headers}
    try:
        return msgspec.convert(given, Terms, strict=False)
    except msgspec.ValidationError as error:
        raise RequestUnserved(detail=f"the headers X-Kinflow: {error}"[:200]) from error


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode("utf-8") + b"\n\n"


async def begun(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Once the first event is there: what is refused before it still has a status of its own."""
    first = await anext(events)

    async def all_of() -> AsyncIterator[bytes]:
        async with aclosing(events):  # type: ignore[type-var]
            yield first
            async for one in events:
                yield one

    return all_of()
