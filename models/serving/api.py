"""The routes of `/v1`, for any application that takes a router: edge server, cloud, or a server by itself."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from models.errors import NothingServed, RequestUnserved
from models.escalation.receipt import Terms
from models.serving.answers import status_of, told_to
from models.serving.asked import Answer, Ask, End, Prepared
from models.serving.embedding import read_embedding
from models.serving.forms import ChatForm, CompletionForm, Form
from models.serving.message_form import MessageForm
from models.serving.messages import read_counted, read_message
from models.serving.requests import Chat, Completion, read_chat, read_completion
from models.serving.response_form import ResponseForm
from models.serving.responses import Conversation, Kept, read_response
from models.serving.service import Service
from models.serving.template import Said
from models.serving.tools import call_said
from models.serving.visits import Visit, outcome_of
from protocol.errors import KinflowError

LIMIT_BYTES = 4 * 1024 * 1024
EVENTS = "text/event-stream"
# Asked by a client that has gone; nobody reads it.
CLIENT_LEFT = 499
_TERMS = {
    "x-kinflow-max-tier": "max_tier",
    "x-kinflow-way": "way",
    "x-kinflow-deadline-s": "deadline_s",
    "x-kinflow-budget-bytes": "budget_bytes",
}
_NO_CONTENT_MODEL: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {}, EVENTS: {}}}}
T = TypeVar("T")


def serving_api(service: Service | None) -> APIRouter:
    """service: None where nothing is served; the routes then say so."""
    router = APIRouter(prefix="/v1", tags=["models"])

    def door(request: Request, work: Callable[[_Door], Awaitable[Response]]) -> Awaitable[Response]:
        async def opened() -> Response:
            if service is None:
                raise NothingServed(detail="no family is set")
            return await work(_Door(service, request))

        return answered(opened, request.url.path)

    @router.get("/models", response_class=JSONResponse)
    async def models(request: Request) -> Response:
        """The member that is served here, as OpenAI's protocol lists models, and Anthropic's."""

        async def work() -> Response:
            found = [] if service is None else await service.listed()
            ends = {"has_more": False, "first_id": found[0]["id"], "last_id": found[0]["id"]} if found else {}
            return JSONResponse({"object": "list", "data": found, **ends})

        return await answered(work, request.url.path)

    @router.get("/models/{model}", response_class=JSONResponse)
    async def model(request: Request, model: str) -> Response:
        """One model, by its name."""
        return await door(request, lambda at: at.model(model))

    @router.post("/chat/completions", response_class=Response, responses=_NO_CONTENT_MODEL)
    async def chat(request: Request) -> Response:
        """Answer a conversation, in OpenAI's form; with `stream`, as server-sent events."""
        return await door(request, _Door.chat)

    @router.post("/completions", response_class=Response, responses=_NO_CONTENT_MODEL)
    async def completions(request: Request) -> Response:
        """Go on with a text, or with tokens, in OpenAI's form."""
        return await door(request, _Door.completion)

    @router.post("/responses", response_class=Response, responses=_NO_CONTENT_MODEL)
    async def responses(request: Request) -> Response:
        """Answer a conversation, in OpenAI's newer form; the answer is kept for a while unless `store` is false."""
        return await door(request, _Door.response)

    @router.get("/responses/{response}", response_class=JSONResponse)
    async def kept(request: Request, response: str) -> Response:
        """An answer that is kept."""
        return await door(request, lambda at: at.kept(response))

    @router.delete("/responses/{response}", response_class=JSONResponse)
    async def drop(request: Request, response: str) -> Response:
        """Forget an answer that is kept."""
        return await door(request, lambda at: at.drop(response))

    @router.post("/embeddings", response_class=JSONResponse)
    async def embeddings(request: Request) -> Response:
        """Texts as directions: the mean of what the member's last block holds of each, at length one."""
        return await door(request, _Door.embed)

    @router.post("/messages", response_class=Response, responses=_NO_CONTENT_MODEL)
    async def messages(request: Request) -> Response:
        """Answer a conversation, in Anthropic's form; with `stream`, as server-sent events."""
        return await door(request, _Door.message)

    @router.post("/messages/count_tokens", response_class=JSONResponse)
    async def count_tokens(request: Request) -> Response:
        """How many tokens a conversation has, in Anthropic's form."""
        return await door(request, _Door.count)

    return router


class _Door:
    """One request to a service."""

    def __init__(self, service: Service, request: Request) -> None:
        self._service, self._request = service, request
        self._tenant: str = getattr(request.state, "tenant", "")
        self._id, self._made_s = uuid.uuid4().hex, int(time.time())

    async def model(self, name: str) -> Response:
        return JSONResponse(await self._service.model(name))

    async def chat(self) -> Response:
        asked, ask = read_chat(await body_of(self._request))
        return await self._answer(ask, lambda prepared: ChatForm(**self._openai(prepared, asked)))

    async def completion(self) -> Response:
        asked, ask = read_completion(await body_of(self._request))
        return await self._answer(ask, lambda prepared: CompletionForm(**self._openai(prepared, asked)))

    async def response(self) -> Response:
        conversation, ask = read_response(await body_of(self._request), self._service.memory, self._tenant)

        def form(prepared: Prepared) -> ResponseForm:
            asked = conversation.asked
            return ResponseForm(answer_id=self._id, created_s=self._made_s, model=prepared.model, asked=asked)

        return await self._answer(ask, form, lambda form, answer: self._keep(conversation, form, answer))

    async def kept(self, name: str) -> Response:
        return JSONResponse(dict(self._service.memory.get(name, self._tenant).told))

    async def drop(self, name: str) -> Response:
        self._service.memory.drop(name, self._tenant)
        return JSONResponse({"id": name, "object": "response", "deleted": True})

    async def message(self) -> Response:
        _, ask = read_message(await body_of(self._request))

        def form(prepared: Prepared) -> MessageForm:
            return MessageForm(answer_id=self._id, model=prepared.model, prompt_tokens=len(prepared.prompt))

        return await self._answer(ask, form)

    async def count(self) -> Response:
        async with self._visit():
            prepared = await self._service.prepare(read_counted(await body_of(self._request)))
            return JSONResponse({"input_tokens": len(prepared.prompt)})

    async def embed(self) -> Response:
        async with self._visit() as visit:
            wish = read_embedding(await body_of(self._request))
            found = await unless_gone(self._request, self._service.embed(wish, self._tenant, visit.prompt))
            if found is None:
                return self._left(visit)
            name, vectors = found
            return JSONResponse(vectors.told(name, wish))

    @asynccontextmanager
    async def _visit(self) -> AsyncIterator[Visit]:
        """Ends with the block, unless it was ended before. Raises ServerLeaving (KF514), TenantBusy (KF511)."""
        visit = self._service.visits.begin(self._request.url.path, self._tenant)
        try:
            yield visit
        except BaseException as error:
            visit.end(outcome_of(error))
            raise
        visit.end("done")

    def _left(self, visit: Visit) -> Response:
        visit.end("left")
        return Response(status_code=CLIENT_LEFT)

    def _openai(self, prepared: Prepared, asked: Chat | Completion) -> dict[str, Any]:
        head = {"answer_id": self._id, "created_s": self._made_s, "model": prepared.model}
        return {**head, "with_usage": asked.with_usage}

    async def _answer(
        self,
        ask: Ask,
        form_of: Callable[[Prepared], Form],
        ended: Callable[[Any, Answer], None] = lambda _form, _answer: None,
    ) -> Response:
        """ended: called once the answer is whole."""
        ask = replace(ask, terms=terms_of(self._request.headers), tenant=self._tenant)
        visit = self._service.visits.begin(self._request.url.path, self._tenant)
        try:
            prepared = await self._service.prepare(ask)
            visit.prompt(len(prepared.prompt))
            form = form_of(prepared)
            if ask.stream:
                events = await unless_gone(self._request, begun(self._events(visit, prepared, form, ended)))
                if events is None:
                    return self._left(visit)
                return StreamingResponse(events, media_type=EVENTS, headers={"X-Accel-Buffering": "no"})
            answer = await unless_gone(self._request, self._whole(visit, prepared))
        except BaseException as error:
            visit.end(outcome_of(error))
            raise
        if answer is None:
            return self._left(visit)
        visit.end("done")
        ended(form, answer)
        receipt = None if answer.end is None else answer.end.receipt
        return JSONResponse(form.whole(answer), headers={} if receipt is None else receipt.headers())

    async def _whole(self, visit: Visit, prepared: Prepared) -> Answer:
        answer = Answer(logprobs=[] if prepared.sampling.logprobs is not None else None)
        async with aclosing(self._service.answer(prepared)) as bits:  # type: ignore[type-var]
            async for one in bits:
                if isinstance(one, End):
                    answer.end = one
                else:
                    visit.said(one.tokens)
                    answer.take(one)
        return answer

    async def _events(
        self, visit: Visit, prepared: Prepared, form: Form, ended: Callable[[Any, Answer], None]
    ) -> AsyncIterator[bytes]:
        answer, began = Answer(), False
        try:
            async with aclosing(self._service.answer(prepared)) as bits:  # type: ignore[type-var]
                async for one in bits:
                    events = [] if began else form.begin()
                    began = True
                    if isinstance(one, End):
                        answer.end = one
                        events += form.end(one)
                        # Before it is told that it is there, so that whoever reads that finds it.
                        ended(form, answer)
                    else:
                        visit.said(one.tokens)
                        answer.take(one)
                        events += form.take(one)
                    for told in events:
                        yield form.framed(told)
            visit.end("done")
            if form.closing:
                yield form.closing
        except BaseException as error:
            visit.end(outcome_of(error))
            if not began or not isinstance(error, KinflowError):
                raise
            for told in form.failed(error):
                yield form.framed(told)

    def _keep(self, conversation: Conversation, form: ResponseForm, answer: Answer) -> None:
        if conversation.asked.store is False:
            return
        said = list(conversation.said)
        if answer.text or not answer.calls:
            said.append(Said("assistant", answer.text))
        if answer.calls:
            said.append(call_said(answer.calls))
        calls = {form.call_id(place): call.name for place, call in enumerate(answer.calls)}
        kept = Kept(self._tenant, tuple(said), {**conversation.calls, **calls}, form.whole(answer))
        self._service.memory.put(form.id, kept)


async def answered(work: Callable[[], Awaitable[Response]], path: str = "/v1/") -> Response:
    """What `work` answers, or its error in the form of who asks at this path."""
    try:
        return await work()
    except KinflowError as error:
        return refusal(error, path)


def refusal(error: KinflowError, path: str = "/v1/") -> JSONResponse:
    wait_s = error.fields.get("wait_s")
    headers = {"Retry-After": str(wait_s)} if wait_s is not None else {}
    return JSONResponse(told_to(path, error), status_of(error), headers)


async def body_of(request: Request, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """Never more than the limit, whatever the headers claim. Raises RequestUnserved (KF501)."""
    whole = bytearray()
    async for part in request.stream():
        whole += part
        if len(whole) > limit_bytes:
            raise RequestUnserved(detail=f"it has more than {limit_bytes} bytes")
    return bytes(whole)


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` gives; None when whoever asked has left before, and the work is stopped then. Raises what it does."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return await working if working.done() else None
    finally:
        for one in (working, leaving):
            one.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def terms_of(headers: Mapping[str, str]) -> Terms:
    """How high a request may go, and what it may cost: `X-Kinflow-Max-Tier`, `-Way`, `-Deadline-S`, `-Budget-Bytes`.
    Raises RequestUnserved (KF501)."""
    given = {field: headers[name] for name, field in _TERMS.items() if name in headers}
    try:
        return msgspec.convert(given, Terms, strict=False)
    except msgspec.ValidationError as error:
        raise RequestUnserved(detail=f"the headers X-Kinflow: {error}"[:200]) from error


async def begun(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Once the first event is there: what is refused before it still has a status of its own."""
    first = await anext(events)

    async def all_of() -> AsyncIterator[bytes]:
        async with aclosing(events):  # type: ignore[type-var]
            yield first
            async for one in events:
                yield one

    return all_of()
