"""What one server serves: a member behind its scheduler, opened with the first request and kept."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

from models.engine.port import Engine
from models.engine.sampling import Sampling
from models.engine.turn import Step
from models.errors import ContextTooLong, RequestUnserved
from models.serving.answers import Form, logprob_of
from models.serving.port import Scheduler
from models.serving.requests import Chat, Completion, TooLong, schema_of
from models.serving.template import prompt_of, stops_of, tokens_of
from protocol.errors import KinflowError


@dataclass(frozen=True)
class Prepared:
    """A request, ready to be answered. logprobs: whether they are told."""

    prompt: Sequence[int]
    sampling: Sampling
    form: Form
    stream: bool
    with_usage: bool


@dataclass(frozen=True)
class Said:
    """text: what the answer now says more. ended: as `Step`'s. logprobs: of the tokens since the last one."""

    text: str
    ended: str
    tokens: int
    logprobs: list[dict[str, Any]] | None = None


@dataclass
class Service:
    """name: of what is served, as `/v1/models` lists it; where it has to be looked up, that. make: opens the scheduler;
    raises NothingServed (KF500) or what opening weights does, and is tried again with the next request. after:
    called once all of them are closed.

    Each event loop that asks has a scheduler of its own: a server with a loop for each of its doors has two."""

    name: str | Callable[[], str]
    make: Callable[[], Coroutine[Any, Any, Scheduler]]
    after: Callable[[], None] = lambda: None
    created_s: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self._opening: dict[asyncio.AbstractEventLoop, asyncio.Future[Scheduler]] = {}

    async def scheduler(self) -> Scheduler:
        loop = asyncio.get_running_loop()
        found = self._opening.get(loop)
        if found is None:
            found = self._opening[loop] = asyncio.ensure_future(self.make())
        try:
            # Whoever leaves while it opens takes nothing away from those who wait for it, too.
            return await asyncio.shield(found)
        except KinflowError:
            self._opening.pop(loop, None)
            raise

    def known_as(self) -> str:
        """Raises what looking it up does."""
        return self.name if isinstance(self.name, str) else self.name()

    async def listed(self) -> list[dict[str, Any]]:
        name = await asyncio.to_thread(self.known_as)
        return [{"id": name, "object": "model", "created": self.created_s, "owned_by": "kinflow"}]

    async def prepare(self, asked: Chat | Completion) -> Prepared:
        """Raises RequestUnserved (KF501), ContextTooLong (KF394), SamplingInvalid (KF401), or what `scheduler` does."""
        name = await asyncio.to_thread(self.known_as)
        if asked.model not in ("", name):
            raise RequestUnserved(detail=f"model: {asked.model[:80]!r} is not served here, {name!r} is")
        scheduler = await self.scheduler()
        chat = isinstance(asked, Chat)
        stops = await scheduler.call(stops_of) if chat else ()
        if isinstance(asked, Chat):
            sampling = asked.sampling(stops, asked.logprobs_told, schema_of(asked))
            prompt = await scheduler.call(lambda engine: _chat(engine, asked, scheduler.limit_tokens))
        else:
            sampling = asked.sampling(stops, asked.logprobs, asked.json_schema)
            prompt = await scheduler.call(lambda engine: _prompt(engine, asked, scheduler.limit_tokens))
        form = Form(chat=chat, answer_id=uuid.uuid4().hex, created_s=int(time.time()), model=name)
        return Prepared(prompt, sampling, form, asked.stream, asked.with_usage)

    async def answer(self, prepared: Prepared) -> AsyncIterator[Said]:
        """Raises what `Scheduler.answer` does."""
        scheduler = await self.scheduler()
        async with aclosing(scheduler.answer(prepared.prompt, prepared.sampling)) as steps:  # type: ignore[type-var]
            async for step in steps:
                told = None
                if prepared.sampling.logprobs is not None:
                    told = [await scheduler.call(lambda engine, step=step: _told(engine, step))]  # type: ignore[misc]
                yield Said(step.text, step.ended, 1, told)

    async def close(self) -> None:
        """What this event loop has opened."""
        found = self._opening.pop(asyncio.get_running_loop(), None)
        if found is not None:
            with suppress(KinflowError):
                await (await found).close()
        if not self._opening:
            self.after()


def _told(engine: Engine, step: Step) -> dict[str, Any]:
    tokens = {step.choice.token, *(token for token, _ in step.choice.top)}
    return logprob_of(step.choice, {token: engine.piece(token) for token in tokens})


def _chat(engine: Engine, asked: Chat, limit: int) -> list[int]:
    said = asked.said
    while True:
        try:
            tokens = tokens_of(engine, said)
            return _fitting(tokens, limit, "refuse")
        except ContextTooLong:
            # The oldest goes first; what the system said stays, and so does what is to be answered.
            oldest = next((place for place, one in enumerate(said[:-1]) if one.role != "system"), None)
            if asked.too_long == "refuse" or oldest is None:
                raise
            said = said[:oldest] + said[oldest + 1 :]


def _prompt(engine: Engine, asked: Completion, limit: int) -> list[int]:
    if isinstance(asked.prompt, str):
        return _fitting(prompt_of(engine, asked.prompt), limit, asked.too_long)
    if not asked.prompt or not all(0 <= token < engine.facts.vocabulary for token in asked.prompt):
        raise RequestUnserved(detail=f"prompt: tokens from 0 to {engine.facts.vocabulary - 1}, at least one, are taken")
    return _fitting(list(asked.prompt), limit, asked.too_long)


def _fitting(tokens: list[int], limit: int, too_long: TooLong) -> list[int]:
    """With room for one token more, since something is to be said."""
    excess = len(tokens) + 1 - limit
    if excess <= 0:
        return tokens
    if too_long == "newest":
        return tokens[excess:]
    raise ContextTooLong(tokens=len(tokens), excess_tokens=excess, limit_tokens=limit - 1)
