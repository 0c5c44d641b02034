"""What one server serves: a member behind its scheduler, opened with the first request and kept."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from models.assistant.reply import TIERS, Tier
from models.engine.port import Engine
from models.engine.sampling import Sampling
from models.engine.turn import Step
from models.errors import RequestUnserved
from models.escalation.answer import Bit
from models.escalation.port import Question
from models.escalation.receipt import STAYS, Receipt, Terms
from models.serving.answers import Form, logprob_of
from models.serving.fitting import fitting_chat, fitting_text, fitting_tokens
from models.serving.port import Scheduler
from models.serving.requests import Chat, Completion, schema_of
from models.serving.template import stops_of
from protocol.errors import KinflowError


@dataclass(frozen=True)
class Prepared:
    """A request, ready to be answered. text: the same for a server with another vocabulary, as text or as messages.
    terms: how high it may go."""

    prompt: Sequence[int]
    text: str | Sequence[dict[str, str]]
    sampling: Sampling
    form: Form
    stream: bool
    with_usage: bool
    terms: Terms = STAYS


@dataclass(frozen=True)
class Said:
    """text: what the answer now says more. ended: as `Step`'s. logprobs: of the tokens since the last one. receipt: of
    all of it, at the end."""

    text: str
    ended: str
    tokens: int
    logprobs: list[dict[str, Any]] | None = None
    receipt: Receipt | None = None


class Elsewhere(Protocol):
    """Answers with the help of the tier above (models/escalation/elsewhere.py)."""

    def wanted(self, terms: Terms) -> bool: ...

    def answer(self, question: Question, sampling: Sampling, terms: Terms) -> AsyncIterator[Bit | Receipt]: ...

    async def close(self) -> None: ...


@dataclass
class Service:
    """name: of what is served, as `/v1/models` lists it; where it has to be looked up, that. make: opens the scheduler;
    raises NothingServed (KF500) or what opening weights does, and is tried again with the next request. after:
    called once all of them are closed. tier: what this server calls itself in receipts. elsewhere: makes what asks the
    tier above, None where there is none.

    Each event loop that asks has a scheduler of its own: a server with a loop for each of its doors has two."""

    name: str | Callable[[], str]
    make: Callable[[], Coroutine[Any, Any, Scheduler]]
    after: Callable[[], None] = lambda: None
    tier: Tier = "edge"
    elsewhere: Callable[[], Elsewhere] | None = None
    created_s: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self._opening: dict[asyncio.AbstractEventLoop, asyncio.Future[Scheduler]] = {}
        self._higher: dict[asyncio.AbstractEventLoop, Elsewhere] = {}

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

    async def prepare(self, asked: Chat | Completion, terms: Terms = STAYS) -> Prepared:
        """Raises RequestUnserved (KF501), ContextTooLong (KF394), SamplingInvalid (KF401), or what `scheduler` does."""
        name = await asyncio.to_thread(self.known_as)
        if asked.model not in ("", name):
            raise RequestUnserved(detail=f"model: {asked.model[:80]!r} is not served here, {name!r} is")
        scheduler = await self.scheduler()
        chat = isinstance(asked, Chat)
        stops = await scheduler.call(stops_of) if chat else ()
        if isinstance(asked, Chat):
            sampling = asked.sampling(stops, asked.logprobs_told, schema_of(asked))
            prompt = await scheduler.call(
                lambda engine: fitting_chat(engine, asked.said, scheduler.limit_tokens, asked.too_long)
            )
        else:
            sampling = asked.sampling(stops, asked.logprobs, asked.json_schema)
            prompt = await scheduler.call(lambda engine: _prompt(engine, asked, scheduler.limit_tokens))
        form = Form(chat=chat, answer_id=uuid.uuid4().hex, created_s=int(time.time()), model=name)
        return Prepared(prompt, _text(asked), sampling, form, asked.stream, asked.with_usage, terms)

    async def answer(self, prepared: Prepared) -> AsyncIterator[Said]:
        """The last one has the receipt. Raises what `Scheduler.answer` does."""
        higher = self._higher_tier()
        if higher is not None and higher.wanted(prepared.terms):
            async for said in self._with_help(higher, prepared):
                yield said
            return
        scheduler = await self.scheduler()
        began_s, first_s, tokens, ended = time.monotonic(), None, 0, ""
        async with aclosing(scheduler.answer(prepared.prompt, prepared.sampling)) as steps:  # type: ignore[type-var]
            async for step in steps:
                told = None
                if prepared.sampling.logprobs is not None:
                    told = [await scheduler.call(lambda engine, step=step: _told(engine, step))]  # type: ignore[misc]
                tokens, ended = tokens + 1, step.ended
                if step.text and first_s is None:
                    first_s = time.monotonic() - began_s
                yield Said(step.text, step.ended, 1, told)
        yield Said("", ended, 0, None, self._own_receipt(prepared, tokens, ended, began_s, first_s))

    async def _with_help(self, higher: Elsewhere, prepared: Prepared) -> AsyncIterator[Said]:
        scheduler = await self.scheduler()
        question = Question(prepared.prompt, prepared.text)
        async with aclosing(higher.answer(question, prepared.sampling, prepared.terms)) as bits:  # type: ignore[type-var]
            async for one in bits:
                if isinstance(one, Receipt):
                    yield Said("", one.ended, one.said_tokens, None, one)
                    continue
                told = None
                if prepared.sampling.logprobs is not None and one.choice is not None:
                    step = Step(one.choice, one.text)
                    told = [await scheduler.call(lambda engine, step=step: _told(engine, step))]  # type: ignore[misc]
                yield Said(one.text, "", 0, told)

    def _higher_tier(self) -> Elsewhere | None:
        if self.elsewhere is None:
            return None
        loop = asyncio.get_running_loop()
        if loop not in self._higher:
            self._higher[loop] = self.elsewhere()
        return self._higher[loop]

    def _own_receipt(
        self, prepared: Prepared, tokens: int, ended: str, began_s: float, first_s: float | None
    ) -> Receipt:
        wished = TIERS.index(prepared.terms.max_tier) > TIERS.index(self.tier) and prepared.terms.way != "device"
        return Receipt(
            tier=self.tier,
            way="device",
            why="there is no tier above" if wished else "asked here",
            ended=ended,
            seconds=round(time.monotonic() - began_s, 4),
            first_ms=None if first_s is None else round(first_s * 1000, 2),
            bytes_sent=0,
            bytes_received=0,
            tokens={self.tier: tokens},
            prompt_tokens=len(prepared.prompt),
            said_tokens=tokens,
        )

    async def close(self) -> None:
        """What this event loop has opened."""
        higher = self._higher.pop(asyncio.get_running_loop(), None)
        if higher is not None:
            await higher.close()
        found = self._opening.pop(asyncio.get_running_loop(), None)
        if found is not None:
            with suppress(KinflowError):
                await (await found).close()
        if not self._opening:
            self.after()


def _text(asked: Chat | Completion) -> str | list[dict[str, str]]:
    if isinstance(asked, Chat):
        return [{"role": one.role, "content": one.text} for one in asked.said]
    return asked.prompt if isinstance(asked.prompt, str) else ""


def _told(engine: Engine, step: Step) -> dict[str, Any]:
    tokens = {step.choice.token, *(token for token, _ in step.choice.top)}
    return logprob_of(step.choice, {token: engine.piece(token) for token in tokens})


def _prompt(engine: Engine, asked: Completion, limit: int) -> list[int]:
    if isinstance(asked.prompt, str):
        return fitting_text(engine, asked.prompt, limit, asked.too_long)
    if not asked.prompt or not all(0 <= token < engine.facts.vocabulary for token in asked.prompt):
        raise RequestUnserved(detail=f"prompt: tokens from 0 to {engine.facts.vocabulary - 1}, at least one, are taken")
    return fitting_tokens(list(asked.prompt), limit, asked.too_long)
