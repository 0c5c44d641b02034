"""asyncio in front of an engine: one thread is its home, and everything that touches it runs there in turn."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from models.engine.port import Engine

T = TypeVar("T")
_END = object()
STOP_AGAIN_S = 0.01


class EngineThread:
    """Made by `open`. The engine is given to functions on its own thread and never leaves it."""

    def __init__(self, engine: Engine, pool: ThreadPoolExecutor) -> None:
        self._engine = engine
        self._pool = pool
        self._lock = threading.Lock()
        self._running: object = None
        self._since_s: float | None = None

    @property
    def busy_s(self) -> float:
        """How long the piece of work that runs has been running, 0 without one; from any thread."""
        since_s = self._since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    @classmethod
    async def open(cls, make: Callable[[], Engine]) -> EngineThread:
        """make: opens the engine; runs on the new thread."""
        pool = ThreadPoolExecutor(1, thread_name_prefix="engine")
        try:
            return cls(await asyncio.get_running_loop().run_in_executor(pool, make), pool)
        except BaseException:
            pool.shutdown(wait=False)
            raise

    async def call(self, work: Callable[[Engine], T]) -> T:
        """Run `work` in its turn and give its result. Cancelled: the step of it that runs is stopped, never another's,
        and its end awaited, so that the engine is not left in the middle of something."""
        ticket = object()
        running = self._pool.submit(self._run, ticket, work)
        result = asyncio.wrap_future(running)
        try:
            return await asyncio.shield(result)
        except asyncio.CancelledError:
            while not running.cancel() and not running.done():
                self._stop(ticket)
                # Again, if it was between two steps: a stop is for the one that runs.
                await asyncio.wait([result], timeout=STOP_AGAIN_S)
            if not running.cancelled():
                with suppress(Exception):  # whoever asked is not there any more
                    await result
            raise

    def _run(self, ticket: object, work: Callable[[Engine], T]) -> T:
        with self._lock:
            self._running, self._since_s = ticket, time.monotonic()
        try:
            return work(self._engine)
        finally:
            with self._lock:
                self._running = self._since_s = None

    def _stop(self, ticket: object) -> None:
        with self._lock:
            if self._running is ticket:
                self._engine.stop()

    async def each(self, work: Callable[[Engine], Iterator[T]]) -> AsyncIterator[T]:
        """What an iterator over the engine gives, one call a step, so that others come in between."""
        iterator = await self.call(work)
        try:
            while (one := await self.call(lambda _: next(iterator, _END))) is not _END:
                yield one  # type: ignore[misc]
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                await self.call(lambda _: close())

    async def close(self) -> None:
        """After what was begun."""
        await self.call(lambda engine: engine.close())
        self._pool.shutdown(wait=False)
