"""A server that asks the tier above it: its own context for drafts, on its own thread, one such answer at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from models.assistant.reply import TIERS, Tier
from models.engine.port import Engine
from models.engine.sampling import Sampling
from models.engine.thread import EngineThread
from models.errors import QueueFull
from models.escalation.answer import Answering, Bit, Here
from models.escalation.measured import Measured
from models.escalation.port import Above, Question
from models.escalation.receipt import Receipt, Terms

MOST_WAITING = 8
WAIT_S = 5
_Found = Bit | Receipt | BaseException


class Elsewhere:
    """tier: of this server. here: makes the lower tier's parts, on the thread that they stay on; above: the tier above,
    None for none, for each answer anew. What was measured is kept from one answer to the next."""

    def __init__(self, tier: Tier, here: Callable[[], Here], above: Callable[[], Above | None]) -> None:
        self._tier, self._make, self._above = tier, here, above
        self._parts: Here | None = None
        self._thread: EngineThread | None = None
        self._measured = Measured()
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving: set[asyncio.Event] = set()

    def wanted(self, terms: Terms) -> bool:
        """Whether the request lets somebody above this tier see it."""
        return TIERS.index(terms.max_tier) > TIERS.index(self._tier) and terms.way != "device"

    async def answer(self, question: Question, sampling: Sampling, terms: Terms) -> AsyncIterator[Bit | Receipt]:
        """Raises QueueFull (KF502), and as `Answering.answer`. Who stops listening ends it with the next token."""
        if self._waiting > MOST_WAITING:
            raise QueueFull(waiting=self._waiting, wait_s=WAIT_S)
        found: asyncio.Queue[_Found] = asyncio.Queue()
        left = asyncio.Event()
        self._leaving.add(left)
        # A task of its own: it ends in good order also when whoever asked is cancelled.
        task = asyncio.create_task(self._produce(question, sampling, terms, found, left))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            while True:
                one = await found.get()
                if isinstance(one, BaseException):
                    raise one
                yield one
                if isinstance(one, Receipt):
                    return
        finally:
            left.set()
            self._leaving.discard(left)

    async def close(self) -> None:
        """Answers under way end with their next token."""
        for left in self._leaving:
            left.set()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._thread is not None:
            await self._thread.close()
            self._thread = None

    async def _produce(
        self,
        question: Question,
        sampling: Sampling,
        terms: Terms,
        found: asyncio.Queue[_Found],
        left: asyncio.Event,
    ) -> None:
        self._waiting += 1
        try:
            async with self._turn:
                if left.is_set():
                    return
                thread = await self._opened()
                assert self._parts is not None
                above = await asyncio.to_thread(self._above)
                asked = Answering(self._parts, above, terms, self._measured)
                # Closed before the connection is: its end still tells the tier above.
                async with aclosing(thread.each(lambda _: asked.answer(question, sampling))) as bits:  # type: ignore[type-var]
                    async for one in bits:
                        found.put_nowait(one)
                        if left.is_set():
                            break
                self._measured = asked.measured
                if above is not None:
                    await asyncio.to_thread(above.close)
        except Exception as error:
            found.put_nowait(error)
        finally:
            self._waiting -= 1

    async def _opened(self) -> EngineThread:
        if self._thread is None:

            def make() -> Engine:
                self._parts = self._make()
                return self._parts.engine

            self._thread = await EngineThread.open(make)
        return self._thread
