"""Turns in the order of asking: as many at once as there are sequences, each step one batch of all of them."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Self, TypeVar

from models.engine.port import Engine, Facts, Portion
from models.engine.sampling import Sampling
from models.engine.thread import EngineThread
from models.engine.turn import Step, Turn
from models.errors import ContextTooLong, EngineFailed, EngineStopped, QueueFull
from models.serving.planning.calls import Calls
from models.serving.planning.room import Stretch
from models.serving.planning.step_time import NOTHING, StepTime
from models.serving.planning.step_time import work as work_of
from models.serving.port import Load
from models.serving.tally import Tally
from protocol.errors import KinflowError

T = TypeVar("T")
MOST_WAITING = 16
# Of a prompt, in one step: others wait for no more than this.
PREFILL_ROWS = 256
WAIT_S = 2
# How long a step waits for small things, and how many turns of the loop it takes from the end of one to the next.
SMALL_S, LOOP_TURNS = 0.05, 6
# Until it is looked again whether somebody may go on.
NOBODY_S = 0.005

log = logging.getLogger(__name__)
# A number for each stretch of keys and values that is computed (planning/room.py).
_OWNERS = itertools.count()


class Seat:
    """An answer under way, and what its reader has not taken yet. turn: None until it may begin. prompt_left: tokens of
    the prompt that are still to be computed; 0 once it speaks. context: tokens that its sequence holds. tenant: for
    whom it is. here: whether its sequence holds anything; aside: what it held, while it does not. lent: its beginning,
    where others hold the very same."""

    def __init__(self, sequence: int, prompt: Sequence[int], tenant: str = "", arrived_s: float | None = None) -> None:
        """arrived_s: when it was asked for, monotonic; None for now."""
        self.turn: Turn | None = None
        self.sequence = sequence
        self.prompt = prompt
        self.prompt_left = len(prompt)
        self.tenant = tenant
        self.context = 0
        self.here = True
        self.aside: Portion | None = None
        self.lent: tuple[Stretch, ...] = ()
        self._owner = next(_OWNERS)
        self.arrived_s = time.monotonic() if arrived_s is None else arrived_s
        self.first_s: float | None = None
        self.spoke_s: float | None = None
        self.steps: asyncio.Queue[Step | BaseException] = asyncio.Queue()

    @property
    def tokens(self) -> Sequence[int]:
        """Its prompt and what it has said."""
        return self.prompt if self.turn is None else self.turn.tokens

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """What it takes of a room that all share, once all of its tokens are computed."""
        begins = self.lent[-1].end if self.lent else 0
        return (*self.lent, Stretch(self._owner, begins, len(self.tokens)))

    def emptied(self) -> None:
        """Its sequence holds nothing any more; what it holds later is its own."""
        self.here, self.lent, self._owner = False, (), next(_OWNERS)

    def holds(self, context: int) -> None:
        """Its sequence holds so many of its tokens now."""
        self.context = context
        left = len(self.tokens) - context
        self.prompt_left = 0 if left == 1 and self.spoke_s is not None else left
        if self.turn is not None:
            self.turn.goes_on_from(context)

    def moves_to(self, sequence: int) -> None:
        """What it holds is there now. On the engine's thread."""
        self.sequence = sequence
        if self.turn is not None:
            self.turn.moves_to(sequence)

    def went(self, rows: int) -> None:
        self.context += rows
        self.prompt_left = max(0, self.prompt_left - rows)
        if not self.prompt_left:
            self.spoke_s = time.monotonic()
            self.first_s = self.spoke_s if self.first_s is None else self.first_s


@dataclass
class Waiting:
    """Somebody without a sequence. prompt_tokens: 0 for who brings no prompt. turn: the sequence that becomes
    theirs."""

    tenant: str
    prompt_tokens: int
    turn: asyncio.Future[int]
    arrived_s: float = field(default_factory=time.monotonic)


class FifoScheduler:
    """Made by `open`; used on one event loop. most_waiting: requests beyond those that run; more are refused."""

    def __init__(self, thread: EngineThread, facts: Facts, most_waiting: int = MOST_WAITING) -> None:
        self._thread, self._facts, self._most = thread, facts, most_waiting
        self._free = list(range(facts.sequences))
        self._waiting: list[Waiting] = []
        self._seats: list[Seat] = []
        self._pumping: asyncio.Task[None] | None = None
        self._moved_s = 0.0
        self._time, self._calls = StepTime(), Calls()
        self.tally = Tally(room_tokens=facts.context_tokens)
        self._smalls, self._was_small, self._no_smalls = 0, False, asyncio.Event()
        self._tidying: set[asyncio.Task[None]] = set()
        self._closed = False

    @classmethod
    async def open(cls, make: Callable[[], Engine], most_waiting: int = MOST_WAITING) -> Self:
        """make: opens the engine, on its thread."""
        thread = await EngineThread.open(make)
        return cls(thread, await thread.call(lambda engine: engine.facts), most_waiting)

    @property
    def facts(self) -> Facts:
        return self._facts

    @property
    def limit_tokens(self) -> int:
        # Equal shares: no answer can then be stopped by another one's length.
        return self._facts.sequence_tokens or self._facts.context_tokens // self._facts.sequences

    @property
    def longest_tokens(self) -> int:
        return self.limit_tokens

    @property
    def load(self) -> Load:
        running = self._facts.sequences - len(self._free)
        return Load(running, len(self._waiting), self._time.step_s, self._time.more_row_s)

    @property
    def stalled_s(self) -> float:
        waits_s = time.monotonic() - self._moved_s if self._seats else 0.0
        return max(waits_s, self._thread.busy_s)

    async def answer(self, prompt: Sequence[int], sampling: Sampling, tenant: str = "") -> AsyncIterator[Step]:
        asked_s = time.monotonic()
        limit = self.longest_tokens
        if len(prompt) > limit:
            raise ContextTooLong(tokens=len(prompt), excess_tokens=len(prompt) - limit, limit_tokens=limit)
        seat = Seat(await self._entered(tenant, len(prompt)), prompt, tenant, asked_s)
        try:
            await self._admitted(seat)
            self.tally.waited_s.add(time.monotonic() - asked_s)
            held = await self._filled(seat.sequence, prompt, tenant)
            seat.turn = await self.call(lambda engine: Turn(engine, seat.sequence, prompt, sampling, limit))
            seat.holds(held)
            self._seats.append(seat)
            self._pump()
            ended = ""
            first = True
            while not ended:
                step = await seat.steps.get()
                if isinstance(step, BaseException):
                    raise step
                if first:
                    self.tally.first_s.add(time.monotonic() - asked_s)
                    first = False
                ended = step.ended
                yield step
        finally:
            self._leave(seat)
            self._vacate(seat)

    @asynccontextmanager
    async def hold(self, tenant: str = "") -> AsyncIterator[int]:
        sequence = await self._entered(tenant)
        try:
            await self._reserved(sequence)
            yield sequence
        finally:
            self._tidy([lambda engine: self._emptied(engine, sequence)], lambda: self._let_go(sequence))

    async def call(self, work: Callable[[Engine], T], rows: int = 0, context: int = 0) -> T:
        if self._closed:
            raise EngineStopped()
        if not rows:
            return await self._small(work)
        began_s = time.monotonic()
        result = await self._thread.call(work)
        self._time = self._time.learnt(work_of(rows, context), time.monotonic() - began_s)
        return result

    async def _small(self, work: Callable[[Engine], T]) -> T:
        """Work that computes nothing: steps wait for it (_settled)."""
        self._smalls += 1
        self._no_smalls.clear()
        try:
            return await self._thread.call(work)
        finally:
            self._smalls, self._was_small = self._smalls - 1, True
            if not self._smalls:
                self._no_smalls.set()

    async def _settled(self) -> None:
        """Whoever comes has small things to do on the engine's thread, one after the other: all of them are done
        before the next step, in place of a step between each."""
        if not self._smalls and not self._was_small:
            return  # nobody is in the middle of anything, and a turn of the loop takes as long as a small model's step
        until_s = time.monotonic() + SMALL_S
        turns = 0
        while turns < LOOP_TURNS and (left_s := until_s - time.monotonic()) > 0:
            if self._smalls:
                turns = 0
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._no_smalls.wait(), left_s)
            turns += 1
            await asyncio.sleep(0)
        self._was_small = False

    async def close(self) -> None:
        self._closed = True
        if self._pumping is not None:
            self._pumping.cancel()
            await asyncio.wait([self._pumping])
        self._tell(self._seats, EngineStopped())
        for waiting in self._waiting:
            if not waiting.turn.done():
                waiting.turn.set_exception(EngineStopped())
        if self._tidying:
            await asyncio.wait(self._tidying)
        await self._thread.close()

    def _tidy(self, works: Iterable[Callable[[Engine], object]], then: Callable[[], None]) -> None:
        """Not awaited: somebody who was cancelled may wait for nothing any more, and what is held must not stay so.
        works: one after the other; others' steps come in between."""

        async def tidy() -> None:
            try:
                for work in works:
                    await self._thread.call(work)
            finally:
                then()

        if not self._closed:
            task = asyncio.create_task(tidy())
            self._tidying.add(task)
            task.add_done_callback(self._tidying.discard)

    def _vacate(self, seat: Seat) -> None:
        """Its answer is over, whichever way."""
        self._tidy(self._farewell(seat), lambda: self._let_go(seat.sequence))

    def _farewell(self, seat: Seat) -> Iterator[Callable[[Engine], object]]:
        if seat.turn is not None:
            turn = seat.turn
            yield lambda _: turn.close()
        yield lambda engine: self._emptied(engine, seat.sequence)

    async def _entered(self, tenant: str, prompt_tokens: int = 0) -> int:
        if self._closed:
            raise EngineStopped()
        return await self._turn(tenant, prompt_tokens)

    async def _admitted(self, seat: Seat) -> None:
        """Until there is room for it: here there always is, since each has its share."""

    async def _reserved(self, sequence: int) -> None:
        """Until there is room for `limit_tokens` in it, which nobody else takes then."""

    async def _turn(self, tenant: str, prompt_tokens: int) -> int:
        """A sequence, once it is one's turn. Raises QueueFull (KF502)."""
        if self._free:
            # The lowest: those that run should stand side by side (_closed_up).
            return self._free.pop(self._free.index(min(self._free)))
        if len(self._waiting) >= self._most:
            raise QueueFull(waiting=len(self._waiting), wait_s=self._wait_s())
        waiting = Waiting(tenant, prompt_tokens, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        try:
            return await waiting.turn
        except asyncio.CancelledError:
            # It may have become theirs just before they left.
            if waiting.turn.done() and not waiting.turn.cancelled():
                self._let_go(waiting.turn.result())
            raise
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    def _let_go(self, sequence: int) -> None:
        waiting = [one for one in self._waiting if not one.turn.done()]
        if not waiting:
            self._free.append(sequence)
            return
        chosen = waiting[self._next(waiting)]
        self._waiting.remove(chosen)
        chosen.turn.set_result(sequence)

    def _next(self, waiting: Sequence[Waiting]) -> int:
        """Which of those who wait, in the order of their asking, gets the sequence that is free."""
        del waiting  # whoever came first
        return 0

    async def _filled(self, sequence: int, prompt: Sequence[int], tenant: str) -> int:
        """How many tokens of the prompt its sequence holds before any is computed here; never all of them, since the
        last one gives the first logits. Whoever knows where keys and values lie puts them there (Engine.adopt)."""
        del sequence, prompt, tenant  # it begins empty
        return 0

    def _emptied(self, engine: Engine, sequence: int) -> None:
        engine.rollback(sequence, 0)
        self.tally.held_tokens = self._held_tokens(engine)

    def _held_tokens(self, engine: Engine) -> int:
        return sum(engine.length(one) for one in range(self._facts.sequences))

    def _wait_s(self) -> int:
        """For whoever is refused: when it is worth asking again."""
        return WAIT_S

    def _pump(self) -> None:
        if self._pumping is None or self._pumping.done():
            self._pumping = asyncio.create_task(self._run())

    async def _run(self) -> None:
        self._moved_s = time.monotonic()
        while self._seats:
            seats = list(self._seats)
            try:
                await self._settled()
                await self._arranged()
                seats = [seat for seat in self._seats if seat.here]
                if not seats:
                    await asyncio.sleep(NOBODY_S)
                    continue
                chosen = self._chosen(seats)
                seats = [seat for seat, _ in chosen]
                results = await self._step(chosen)
            except KinflowError as error:
                # The engine took none of it (a step that fails in a part is told to that part, in _step).
                self._tell(seats, error)
                continue
            except Exception as error:
                # A fault of ours must not leave them waiting for a pump that is no more.
                log.exception("a step of the engine failed")
                self._tell(seats, EngineFailed(detail=type(error).__name__))
                continue
            finally:
                self._moved_s = time.monotonic()
            for seat, result in results:
                if result is not None:
                    seat.steps.put_nowait(result)
                if isinstance(result, BaseException) or (result is not None and result.ended):
                    self._leave(seat)

    async def _arranged(self) -> None:
        """Between two steps: see to it that all who are here fit."""
        await self._closed_up()

    async def _closed_up(self) -> None:
        """Where sequences have room of their own, those that stand side by side are computed together, and each gap
        between them costs a reading of all weights: whoever speaks from the highest one moves into the lowest gap."""
        speaking = [seat for seat in self._seats if seat.here and not seat.prompt_left]
        if not self._facts.sequence_tokens or not self._free or len(speaking) < 2:
            return
        last, free = max(speaking, key=lambda seat: seat.sequence), min(self._free)
        now = {seat.sequence for seat in speaking}
        if _runs((now - {last.sequence}) | {free}) >= _runs(now):
            return
        self._free.remove(free)
        left = last.sequence

        def move(engine: Engine) -> None:
            if engine.length(left):  # whoever it was may have gone
                engine.copy(left, free)
                engine.rollback(left, 0)
                last.moves_to(free)

        try:
            await self.call(move)
        finally:
            self._let_go(left if last.sequence == free else free)

    def _chosen(self, seats: Sequence[Seat]) -> list[tuple[Seat, int]]:
        """Who is in the next step, and with how many rows at most."""
        return [(seat, PREFILL_ROWS) for seat in seats]

    def _ran(self, steps: Sequence[tuple[Seat, int]]) -> None:
        """A step of these rows was computed."""
        self.tally.rows.add(sum(rows for _, rows in steps))

    def _parts(self, chosen: Sequence[tuple[Seat, int]]) -> list[list[tuple[Seat, int]]]:
        """What is computed one after the other: those who speak, in as many calls as take the least time together, and
        prompts, where sequences have room of their own and the engine does so anyway: timed apart, nothing need be
        guessed of what either took."""
        speaking, prompts = ([one for one in chosen if bool(one[0].prompt_left) is waits] for waits in (False, True))
        if prompts and not self._facts.sequence_tokens:
            return [list(chosen)]
        # Neighbours go together (_closed_up).
        left = iter(sorted(speaking, key=lambda one: one[0].sequence))
        parts = [list(itertools.islice(left, size)) for size in self._calls.sizes(len(speaking))] if speaking else []
        return [*parts, prompts] if prompts else parts

    async def _step(self, chosen: Sequence[tuple[Seat, int]]) -> list[tuple[Seat, Step | KinflowError | None]]:
        """What became of each."""
        parts = [
            [(seat, seat.turn, seat.turn.piece(rows)) for seat, rows in part if seat.turn is not None]
            for part in self._parts(chosen)
        ]

        def run(engine: Engine) -> list[tuple[list[Step | KinflowError | None], float | None]]:
            """Of each part; seconds: None of one that failed, and no later one is begun."""
            found: list[tuple[list[Step | KinflowError | None], float | None]] = []
            for part in parts:
                began_s = time.monotonic()
                try:
                    outputs = engine.decode([piece for _, _, piece in part])
                except KinflowError as error:
                    found.append(([error for _ in part], None))
                    break
                took_s = time.monotonic() - began_s
                found.append(
                    ([_taken(turn, one.logits) for (_, turn, _), one in zip(part, outputs, strict=True)], took_s)
                )
            self.tally.held_tokens = self._held_tokens(engine)
            return found

        became: list[tuple[Seat, Step | KinflowError | None]] = []
        went: list[tuple[Seat, int]] = []
        for part, (results, took_s) in zip(parts, await self.call(run), strict=False):
            became += zip((seat for seat, _, _ in part), results, strict=True)
            if took_s is None:
                continue
            done = [(seat, piece.rows) for seat, _, piece in part]
            self._time = self._time.learnt(sum((work_of(rows, seat.context) for seat, rows in done), NOTHING), took_s)
            if all(not seat.prompt_left for seat, _ in done):
                self._calls = self._calls.learnt(len(done), took_s)
            went += done
        self._ran(went)
        for seat, rows in went:
            before_s = seat.spoke_s
            seat.went(rows)
            if before_s is not None and seat.spoke_s is not None:
                self.tally.between_s.add(seat.spoke_s - before_s)
        return became

    def _tell(self, seats: Sequence[Seat], error: BaseException) -> None:
        for seat in list(seats):
            seat.steps.put_nowait(error)
            self._leave(seat)

    def _leave(self, seat: Seat) -> None:
        if seat in self._seats:
            self._seats.remove(seat)


def _runs(sequences: set[int]) -> int:
    """How many stretches of neighbours they are."""
    return sum(one - 1 not in sequences for one in sequences)


def _taken(turn: Turn, logits: object) -> Step | KinflowError | None:
    try:
        return turn.take(logits)  # type: ignore[arg-type]
    except KinflowError as error:
        return error
