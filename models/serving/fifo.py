"""Turns in the order of asking: as many at once as there are sequences, each step one batch of all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from models.engine.port import Engine, Facts
from models.engine.sampling import Sampling
from models.engine.thread import EngineThread
from models.engine.turn import Step, Turn
from models.errors import ContextTooLong, EngineStopped, QueueFull
from models.serving.pace import Pace
from models.serving.port import Load
from protocol.errors import KinflowError

T = TypeVar("T")
MOST_WAITING = 16
# Of a prompt, in one step: others wait for no more than this.
PREFILL_ROWS = 256
WAIT_S = 2


class Seat:
    """An answer under way, and what its reader has not taken yet. prompt_left: tokens of the prompt that are still to
    be computed; 0 once it speaks. context: tokens that its sequence holds."""

    def __init__(self, turn: Turn, sequence: int, prompt_tokens: int) -> None:
        self.turn = turn
        self.sequence = sequence
        self.prompt_left = prompt_tokens
        self.context = 0
        self.arrived_s = time.monotonic()
        self.spoke_s: float | None = None
        self.steps: asyncio.Queue[Step | BaseException] = asyncio.Queue()

    def went(self, rows: int) -> None:
        self.context += rows
        self.prompt_left = max(0, self.prompt_left - rows)
        if not self.prompt_left:
            self.spoke_s = time.monotonic()


class FifoScheduler:
    """Made by `open`; used on one event loop. most_waiting: requests beyond those that run; more are refused."""

    def __init__(self, thread: EngineThread, facts: Facts, most_waiting: int = MOST_WAITING) -> None:
        self._thread, self._facts, self._most = thread, facts, most_waiting
        self._free = list(range(facts.sequences))
        self._turns = asyncio.Semaphore(facts.sequences)
        self._waiting = 0
        self._seats: list[Seat] = []
        self._pumping: asyncio.Task[None] | None = None
        self._pace = Pace()
        self._tidying: set[asyncio.Task[None]] = set()
        self._closed = False

    @classmethod
    async def open(cls, make: Callable[[], Engine], most_waiting: int = MOST_WAITING) -> FifoScheduler:
        """make: opens the engine, on its thread."""
        thread = await EngineThread.open(make)
        return cls(thread, await thread.call(lambda engine: engine.facts), most_waiting)

    @property
    def facts(self) -> Facts:
        return self._facts

    @property
    def limit_tokens(self) -> int:
        # Equal shares: no answer can then be stopped by another one's length.
        return self._facts.context_tokens // self._facts.sequences

    @property
    def load(self) -> Load:
        running = self._facts.sequences - len(self._free)
        return Load(running, self._waiting, self._pace.step_s, self._pace.row_s)

    async def answer(self, prompt: Sequence[int], sampling: Sampling) -> AsyncIterator[Step]:
        limit = self.limit_tokens
        if len(prompt) > limit:
            raise ContextTooLong(tokens=len(prompt), excess_tokens=len(prompt) - limit, limit_tokens=limit)
        async with self.hold() as sequence:
            turn = await self.call(lambda engine: Turn(engine, sequence, prompt, sampling, limit))
            seat = Seat(turn, sequence, len(prompt))
            try:
                self._seats.append(seat)
                self._pump()
                ended = ""
                while not ended:
                    step = await seat.steps.get()
                    if isinstance(step, BaseException):
                        raise step
                    ended = step.ended
                    yield step
            finally:
                if seat in self._seats:
                    self._seats.remove(seat)
                self._tidy(lambda _: seat.turn.close())

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[int]:
        if self._closed:
            raise EngineStopped()
        if not self._free and self._waiting >= self._most:
            raise QueueFull(waiting=self._waiting, wait_s=self._wait_s())
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        sequence = self._free.pop()
        try:
            yield sequence
        finally:
            self._tidy(lambda engine: engine.rollback(sequence, 0), lambda: self._let_go(sequence))

    async def call(self, work: Callable[[Engine], T], rows: int = 0) -> T:
        if self._closed:
            raise EngineStopped()
        if not rows:
            return await self._thread.call(work)
        began_s = time.monotonic()
        result = await self._thread.call(work)
        self._pace = self._pace.seen(rows, time.monotonic() - began_s)
        return result

    async def close(self) -> None:
        self._closed = True
        if self._pumping is not None:
            self._pumping.cancel()
            await asyncio.wait([self._pumping])
        self._tell(self._seats, EngineStopped())
        if self._tidying:
            await asyncio.wait(self._tidying)
        await self._thread.close()

    def _tidy(self, work: Callable[[Engine], object], then: Callable[[], None] = lambda: None) -> None:
        """Not awaited: somebody who was cancelled may wait for nothing any more, and what is held must not stay so."""

        async def tidy() -> None:
            try:
                await self._thread.call(work)
            finally:
                then()

        if not self._closed:
            task = asyncio.create_task(tidy())
            self._tidying.add(task)
            task.add_done_callback(self._tidying.discard)

    def _let_go(self, sequence: int) -> None:
        self._free.append(sequence)
        self._turns.release()

    def _wait_s(self) -> int:
        """For whoever is refused: when it is worth asking again."""
        return WAIT_S

    def _pump(self) -> None:
        if self._pumping is None or self._pumping.done():
            self._pumping = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._seats:
            chosen = self._chosen(list(self._seats))
            seats = [seat for seat, _ in chosen]
            try:
                results = await self._step(chosen)
            except KinflowError as error:
                # A step is of all of them: nobody knows whose fault it was.
                self._tell(seats, error)
                continue
            for seat, result in zip(seats, results, strict=True):
                if result is not None:
                    seat.steps.put_nowait(result)
                if isinstance(result, BaseException) or (result is not None and result.ended):
                    self._leave(seat)

    def _chosen(self, seats: Sequence[Seat]) -> list[tuple[Seat, int]]:
        """Who is in the next step, and with how many rows at most."""
        return [(seat, PREFILL_ROWS) for seat in seats]

    def _ran(self, steps: Sequence[tuple[Seat, int]], seconds: float) -> None:
        """A step of these rows took so long."""

    async def _step(self, chosen: Sequence[tuple[Seat, int]]) -> list[Step | KinflowError | None]:
        turns = [seat.turn for seat, _ in chosen]
        pieces = [seat.turn.piece(rows) for seat, rows in chosen]

        def run(engine: Engine) -> tuple[list[Step | KinflowError | None], float]:
            began_s = time.monotonic()
            outputs = engine.decode(pieces)
            took_s = time.monotonic() - began_s
            return [_taken(turn, output.logits) for turn, output in zip(turns, outputs, strict=True)], took_s

        results, took_s = await self.call(run, rows=sum(piece.rows for piece in pieces))
        self._ran([(seat, piece.rows) for (seat, _), piece in zip(chosen, pieces, strict=True)], took_s)
        for (seat, _), piece in zip(chosen, pieces, strict=True):
            seat.went(piece.rows)
        return results

    def _tell(self, seats: Sequence[Seat], error: BaseException) -> None:
        for seat in list(seats):
            seat.steps.put_nowait(error)
            self._leave(seat)

    def _leave(self, seat: Seat) -> None:
        if seat in self._seats:
            self._seats.remove(seat)


def _taken(turn: Turn, logits: object) -> Step | KinflowError | None:
    try:
        return turn.take(logits)  # type: ignore[arg-type]
    except KinflowError as error:
        return error
