"""What one server serves: a member behind its schedulers, opened with the first request and kept."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from models.assistant.reply import TIERS, Tier
from models.assistant.summary import TooLong
from models.engine.port import Engine
from models.engine.sampling import Sampling
from models.engine.turn import Step
from models.errors import EmbeddingImpossible, ModelElsewhere, PrimitiveImpossible, RequestUnserved
from models.escalation.answer import Bit as HigherBit
from models.escalation.port import Question
from models.escalation.receipt import Receipt, Terms
from models.serving.answers import logprob_of
from models.serving.asked import Ask, Bit, End, Prepared
from models.serving.embedding import Embedded, Embedding, embedded
from models.serving.fitting import fitting_chat, fitting_text, fitting_tokens
from models.serving.keys import KeyFile
from models.serving.port import Scheduler
from models.serving.responses import Memory
from models.serving.template import stops_of
from models.serving.tools import CallReader
from models.serving.visits import Visits
from protocol.errors import KinflowError

# A step has some hundred rows: what computes none of them a second is stuck, or of no use.
STUCK_S = 60.0
CLOSE_S = 5.0

log = logging.getLogger(__name__)

Make = Callable[[], Coroutine[Any, Any, Scheduler]]
# usual: everybody's. alone: one answer at a time, on a context of its own. embeddings: reads hidden states.
Kind = Literal["usual", "alone", "embeddings"]


class Elsewhere(Protocol):
    """Answers with the help of the tier above (models/escalation/elsewhere.py)."""

    def wanted(self, terms: Terms) -> bool: ...

    def answer(self, question: Question, sampling: Sampling, terms: Terms) -> AsyncIterator[HigherBit | Receipt]: ...

    async def close(self) -> None: ...


@dataclass
class Service:
    """name: of the member, or how it is found, once somebody asks. make: opens its scheduler; alone: one of a single
    sequence, for who wants nobody beside; embeddings: one whose engine shows its last block. keys: of programs that may
    ask. after: called once all of
    them are closed. tier: what this server calls itself in receipts. elsewhere: makes what asks the tier above, None
    where there is none.

    Each event loop that asks has schedulers of its own: a server with a loop for each of its doors has two."""

    name: str | Callable[[], str]
    make: Make
    after: Callable[[], None] = lambda: None
    tier: Tier = "edge"
    elsewhere: Callable[[], Elsewhere] | None = None
    alone: Make | None = None
    embeddings: Make | None = None
    keys: KeyFile | None = None
    created_s: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self._opening: dict[tuple[asyncio.AbstractEventLoop, Kind], asyncio.Future[Scheduler]] = {}
        self._higher: dict[asyncio.AbstractEventLoop, Elsewhere] = {}
        self.memory = Memory()
        self._hangs = False
        self.visits = Visits(self.keys)

    async def scheduler(self, kind: Kind = "usual") -> Scheduler:
        """Raises what opening the member does."""
        key = asyncio.get_running_loop(), kind
        found = self._opening.get(key)
        if found is None:
            make = {"usual": self.make, "alone": self.alone, "embeddings": self.embeddings}[kind]
            if make is None:
                raise RequestUnserved(detail=f"{kind}: this is not done here")
            found = self._opening[key] = asyncio.ensure_future(make())
        try:
            # Whoever leaves while it opens takes nothing away from those who wait for it, too.
            return await asyncio.shield(found)
        except KinflowError:
            self._opening.pop(key, None)
            raise

    @property
    def opened(self) -> list[Scheduler]:
        """On any event loop; from any thread."""
        done = [one for one in list(self._opening.values()) if one.done() and not one.cancelled()]
        return [one.result() for one in done if one.exception() is None]

    def problems(self) -> list[str]:
        """What is wrong, in words; empty when all is well. From any thread."""
        stalled_s = max((one.stalled_s for one in self.opened), default=0.0)
        if stalled_s < STUCK_S:
            return []
        return [f"The member has been computing one step for {stalled_s:.0f} s: it is stuck."]

    def known_as(self) -> str:
        """Raises what looking it up does."""
        return self.name if isinstance(self.name, str) else self.name()

    async def listed(self) -> list[dict[str, Any]]:
        """As OpenAI's clients read it, and Anthropic's."""
        name = await asyncio.to_thread(self.known_as)
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.created_s))
        openai = {"id": name, "object": "model", "created": self.created_s, "owned_by": "kinflow"}
        return [{**openai, "type": "model", "display_name": name, "created_at": made}]

    async def model(self, name: str) -> dict[str, Any]:
        """Raises ModelElsewhere (KF508)."""
        found = await self.listed()
        if found[0]["id"] != name:
            raise ModelElsewhere(model=name[:80], here=found[0]["id"])
        return found[0]

    async def prepare(self, ask: Ask) -> Prepared:
        """Raises RequestUnserved (KF501), ContextTooLong (KF394), SamplingInvalid (KF401), SchemaRefused (KF397), or
        what `scheduler` does."""
        name = await asyncio.to_thread(self.known_as)
        if ask.model not in ("", name):
            raise RequestUnserved(detail=f"model: {ask.model[:80]!r} is not served here, {name!r} is")
        scheduler = await self.scheduler("alone" if ask.deterministic else "usual")
        sampling, given, said = ask.sampling, ask.prompt, list(ask.said)
        if given is None:
            grammar = None if ask.tools is None else ask.tools.grammar()
            if ask.tools is not None and grammar is not None:
                if sampling.schema is not None:
                    raise RequestUnserved(detail="a schema for the answer and tools that may be called: one of both")
                said = [*ask.tools.told(), *said]
            stops, prompt = await scheduler.call(
                lambda engine: (stops_of(engine), fitting_chat(engine, said, scheduler.longest_tokens, ask.too_long))
            )
            sampling = replace(sampling, stop=(*sampling.stop, *stops), grammar=grammar)
            text: str | list[dict[str, str]] = [{"role": one.role, "content": one.text} for one in said]
        else:
            prompt = await scheduler.call(lambda engine: _prompt(engine, given, scheduler.longest_tokens, ask.too_long))
            text = given if isinstance(given, str) else ""
        return Prepared(ask, name, prompt, text, sampling)

    async def answer(self, prepared: Prepared) -> AsyncIterator[Bit | End]:
        """Bits, then how it ended. Raises what `Scheduler.answer` does."""
        reader, called = CallReader(prepared.calls), False
        async with aclosing(self._said(prepared)) as said:  # type: ignore[type-var]
            async for one in said:
                if isinstance(one, Bit):
                    yield Bit(reader.add(one.text), (), one.tokens, one.logprobs)
                    continue
                rest, calls = reader.end()
                called = bool(calls)
                if rest or calls:
                    yield Bit(rest, calls)
                reason = "calls" if called and one.reason == "stop" else one.reason
                asked = prepared.ask.sampling.stop
                yield replace(one, reason=reason, stop=one.stop if one.stop in asked else "")

    async def embed(
        self, wish: Embedding, tenant: str = "", charge: Callable[[int], None] = lambda _: None
    ) -> tuple[str, Embedded]:
        """The member's name and what it makes of texts. charge: told of each text's tokens, before it is computed.
        Raises EmbeddingImpossible (KF509), and as `embedded`."""
        name = await asyncio.to_thread(self.known_as)
        if wish.model not in ("", name):
            raise RequestUnserved(detail=f"model: {wish.model[:80]!r} is not served here, {name!r} is")
        if self.embeddings is None:
            raise EmbeddingImpossible(detail="this server does not show what it computes")
        try:
            return name, await embedded(await self.scheduler("embeddings"), wish, tenant, charge)
        except PrimitiveImpossible as error:
            raise EmbeddingImpossible(detail=error.cause_text.rstrip(".")) from error

    async def _said(self, prepared: Prepared) -> AsyncIterator[Bit | End]:
        ask, sampling = prepared.ask, prepared.sampling
        higher = self._higher_tier()
        # The tiers hand no grammar on; and what is to be the same each time is computed here.
        stays = ask.deterministic or sampling.grammar is not None
        if higher is not None and not stays and higher.wanted(ask.terms):
            async for one in self._with_help(higher, prepared):
                yield one
            return
        scheduler = await self.scheduler("alone" if ask.deterministic else "usual")
        began_s, first_s, tokens, ended, stop, known = time.monotonic(), None, 0, "", "", 0
        async with aclosing(scheduler.answer(prepared.prompt, sampling, ask.tenant)) as steps:  # type: ignore[type-var]
            async for step in steps:
                told = None
                if sampling.logprobs is not None:
                    told = [await scheduler.call(lambda engine, step=step: _told(engine, step))]  # type: ignore[misc]
                tokens, ended, stop, known = tokens + 1, step.ended, step.stop, step.known
                if step.text and first_s is None:
                    first_s = time.monotonic() - began_s
                yield Bit(step.text, (), 1, told)
        receipt = self._own_receipt(prepared, tokens, ended, began_s, first_s)
        yield End(ended, len(prepared.prompt), tokens, stop, receipt, known)

    async def _with_help(self, higher: Elsewhere, prepared: Prepared) -> AsyncIterator[Bit | End]:
        scheduler = await self.scheduler()
        question = Question(prepared.prompt, prepared.text)
        terms = prepared.ask.terms
        async with aclosing(higher.answer(question, prepared.sampling, terms)) as bits:  # type: ignore[type-var]
            async for one in bits:
                if isinstance(one, Receipt):
                    yield End(one.ended, len(prepared.prompt), one.said_tokens, "", one)
                    continue
                told = None
                if prepared.sampling.logprobs is not None and one.choice is not None:
                    step = Step(one.choice, one.text)
                    told = [await scheduler.call(lambda engine, step=step: _told(engine, step))]  # type: ignore[misc]
                yield Bit(one.text, (), 0, told)

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
        terms = prepared.ask.terms
        wished = TIERS.index(terms.max_tier) > TIERS.index(self.tier) and terms.way != "device"
        return Receipt(
            tier=self.tier,
            way="device",
            why=self._why(prepared) if wished else "asked here",
            ended=ended,
            seconds=round(time.monotonic() - began_s, 4),
            first_ms=None if first_s is None else round(first_s * 1000, 2),
            bytes_sent=0,
            bytes_received=0,
            tokens={self.tier: tokens},
            prompt_tokens=len(prepared.prompt),
            said_tokens=tokens,
        )

    def _why(self, prepared: Prepared) -> str:
        if prepared.ask.deterministic:
            return "the same each time: computed here, alone"
        return "functions are called from here" if prepared.calls and self.elsewhere else "there is no tier above"

    async def close(self) -> None:
        """What this event loop has opened."""
        loop = asyncio.get_running_loop()
        higher = self._higher.pop(loop, None)
        if higher is not None:
            await higher.close()
        for key in [key for key in self._opening if key[0] is loop]:
            with suppress(KinflowError):
                await self._closed(await self._opening.pop(key))
        # Weights that a step still reads are never taken away from under it.
        if not self._opening and not self._hangs:
            self.after()

    async def _closed(self, scheduler: Scheduler) -> None:
        """A step that hangs must not keep a server from ending."""
        try:
            await asyncio.wait_for(scheduler.close(), CLOSE_S)
        except TimeoutError:
            self._hangs = True
            log.error("a step of the member did not end within %.0f s; leaving it", CLOSE_S)


def _told(engine: Engine, step: Step) -> dict[str, Any]:
    tokens = {step.choice.token, *(token for token, _ in step.choice.top)}
    return logprob_of(step.choice, {token: engine.piece(token) for token in tokens})


def _prompt(engine: Engine, prompt: str | Sequence[int], limit: int, too_long: TooLong) -> list[int]:
    if isinstance(prompt, str):
        return fitting_text(engine, prompt, limit, too_long)
    if not prompt or not all(0 <= token < engine.facts.vocabulary for token in prompt):
        raise RequestUnserved(detail=f"prompt: tokens from 0 to {engine.facts.vocabulary - 1}, at least one, are taken")
    return fitting_tokens(list(prompt), limit, too_long)
