"""Nobody who speaks is kept waiting by somebody else's prompt (models/serving/planning).

No knob: how long a gap between two tokens may be is reckoned from what a step of those who speak takes on this machine,
and how soon a first token should be there from what the prompt would take alone.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from models.engine.port import Engine, Facts, Portion
from models.engine.thread import EngineThread
from models.errors import EngineFull, EngineStopped, StateForeign
from models.serving.fifo import MOST_WAITING, NOBODY_S, FifoScheduler, Seat, Waiting
from models.serving.house import House, whole_blocks
from models.serving.planning.admission import retry_after_s, wait_s
from models.serving.planning.order import is_late, ordered
from models.serving.planning.planner import plan
from models.serving.planning.request import USUAL_TOKENS, Request
from models.serving.planning.room import clipped, is_kept
from models.serving.planning.step_time import NOTHING, StepTime, work
from models.serving.planning.tenants import arrived, served
from models.serving.prefix.pool import Pool
from models.serving.prefix.prefixes import Prefixes

# A gap may be as long as so many steps without any prompt: a tenth of the step's work then goes to those who speak, and
# prompts lose no more than that.
GAP_STEPS = 10.0
LEAST_GAP_S = 0.05
# In the mean, a token may take as long as so many steps of one row. Serving benchmarks ask for five; who aims at just
# that misses it at the smallest surprise.
PACE_STEPS = 4.0
# Of a first token: so many times what its prompt would take alone (the serving benchmark's SLO), and a moment.
FIRST_FACTOR, FIRST_S = 5.0, 1.0
# Of one engine's step.
MOST_ROWS = 512
# Of a prefix cache that nobody has set.
PREFIX_BYTES = 128_000_000
# What moving keys and values may take of the engine's thread at once.
SLICE_S = 0.02

log = logging.getLogger(__name__)


class StallFreeScheduler(FifoScheduler):
    """A FifoScheduler whose steps are planned."""

    def __init__(
        self, thread: EngineThread, facts: Facts, most_waiting: int = MOST_WAITING, pool: Pool | None = None
    ) -> None:
        """pool: where beginnings of prompts are kept; used on the engine's thread from now on."""
        super().__init__(thread, facts, most_waiting)
        self._prefixes = Prefixes(facts, Pool(PREFIX_BYTES) if pool is None else pool)
        shares = self._prefixes.has_ranges and not facts.sequence_tokens
        self._house = House(facts.context_tokens, shares=shares)
        self._aside_token_s = 0.0
        self._given: dict[str, float] = {}
        self._relegated: set[int] = set()
        self._known: set[int] = set()

    @classmethod
    async def open(
        cls, make: Callable[[], Engine], most_waiting: int = MOST_WAITING, pool: Pool | None = None
    ) -> StallFreeScheduler:
        thread = await EngineThread.open(make)
        return cls(thread, await thread.call(lambda engine: engine.facts), most_waiting, pool)

    async def close(self) -> None:
        self._closed = True
        self._house.close(EngineStopped())
        await super().close()
        self._prefixes.pool.close()

    @property
    def longest_tokens(self) -> int:
        # Of the whole, as far as the model has learnt to look back.
        learnt = self._facts.trained_tokens or self._facts.context_tokens
        return max(self.limit_tokens, min(learnt, self._facts.longest_tokens))

    @property
    def step_time(self) -> StepTime:
        """What has been learnt of this machine."""
        return self._time

    def _requests(self, seats: Sequence[Seat]) -> list[Request]:
        beside = sum((work(1, one.context) for one in seats if not one.prompt_left), start=NOTHING)
        gap_s = max(LEAST_GAP_S, GAP_STEPS * self._time.expected_s(beside))
        alone_s = self._time.alone_s
        pace_s = math.inf if alone_s is None else PACE_STEPS * alone_s
        return [self._request(seat, gap_s, pace_s) for seat in seats]

    def _request(self, seat: Seat, gap_s: float, pace_s: float) -> Request:
        return Request(
            name=id(seat),
            tenant=seat.tenant,
            arrived_s=seat.arrived_s,
            prompt_left=seat.prompt_left,
            context=seat.context,
            due_s=seat.arrived_s + self._first_s(seat.prompt_left + seat.context) if seat.prompt_left else math.inf,
            gap_s=gap_s,
            spoke_s=seat.spoke_s,
            relegated=id(seat) in self._relegated,
            pace_s=pace_s,
            first_s=seat.first_s,
            said=0 if seat.turn is None else seat.turn.said,
            may_say=0 if seat.turn is None else seat.turn.may_say,
        )

    def _first_s(self, prompt_tokens: int) -> float:
        """How long a first token may take."""
        return FIRST_S + FIRST_FACTOR * self._time.expected_s(work(prompt_tokens, 0))

    def _chosen(self, seats: Sequence[Seat]) -> list[tuple[Seat, int]]:
        by_name = {id(seat): seat for seat in seats}
        self._relegated &= by_name.keys()
        self._known &= by_name.keys()
        for seat in seats:
            if id(seat) not in self._known:
                self._known.add(id(seat))
                self._given = arrived(self._given, seat.tenant, {one.tenant for one in seats} - {seat.tenant})
        found = plan(self._requests(seats), self._time, self._given, MOST_ROWS, time.monotonic())
        self._relegated.update(found.relegated)
        self.tally.budget_rows.add(found.budget)
        return [(by_name[share.name], self._rows(by_name[share.name], share.rows)) for share in found.shares]

    def _rows(self, seat: Seat, rows: int) -> int:
        """Where a memory is whole or nothing, a step ends where the whole is to be kept."""
        if self._prefixes.has_ranges:
            return rows
        return min(rows, self._prefixes.border(seat.context, len(seat.prompt)) - seat.context)

    def _ran(self, steps: Sequence[tuple[Seat, int]]) -> None:
        super()._ran(steps)
        for seat, rows in steps:
            self._given = served(self._given, seat.tenant, rows, speaks=not seat.prompt_left)

    def _next(self, waiting: Sequence[Waiting]) -> int:
        now_s = time.monotonic()
        requests = [self._coming(place, one, now_s) for place, one in enumerate(waiting)]
        return ordered(requests, self._given, self._time.row_s, now_s)[0].name

    def _coming(self, place: int, one: Waiting, now_s: float) -> Request:
        due_s = one.arrived_s + self._first_s(one.prompt_tokens)
        found = Request(place, one.tenant, one.arrived_s, one.prompt_tokens, 0, due_s, LEAST_GAP_S)
        return replace(found, relegated=is_late(found, self._time.row_s, now_s))

    # --- room ---------------------------------------------------------------------------------------------------------

    async def _admitted(self, seat: Seat) -> None:
        if self._closed:
            raise EngineStopped()
        coming = self._house.enters(seat)
        self._house.settle(outs=False)
        await coming

    async def _reserved(self, sequence: int) -> None:
        self._house.taken[sequence] = self.limit_tokens
        while self._house.used > self._house.room:
            if self._closed:
                raise EngineStopped()
            self._pump()
            await asyncio.sleep(NOBODY_S)

    def _vacate(self, seat: Seat) -> None:
        self._house.taken[seat.sequence] = self._house.leaves(seat)
        super()._vacate(seat)

    def _let_go(self, sequence: int) -> None:
        self._house.taken.pop(sequence, None)
        super()._let_go(sequence)
        self._house.settle(outs=False)

    async def _arranged(self) -> None:
        out, back = self._house.settle(self._waits_s)
        for seat in out:
            if seat in self._house:
                await self._put_out(seat)
        for seat in back:
            if seat in self._house:
                await self._bring_back(seat)
        if not self._prefixes.has_ranges:
            await self._keep_states()
        await super()._arranged()

    def _waits_s(self) -> dict[int, float]:
        now_s = time.monotonic()
        told = self._requests([seat for seat in self._seats if seat.here])
        return {one.name: one.slack_s(now_s) if one.speaks else one.due_s - now_s for one in told}

    async def _put_out(self, seat: Seat) -> None:
        """Its keys and values go aside, or are computed again later where that is faster than to move them."""
        keeps = is_kept(seat.context, self._aside_token_s, self._time)
        keeps &= self._house.aside_bytes < self._prefixes.pool.tree.capacity

        def put(engine: Engine) -> tuple[Portion | None, float]:
            began_s = time.monotonic()
            portion = engine.export(seat.sequence) if keeps and engine.length(seat.sequence) else None
            took_s = time.monotonic() - began_s
            self._emptied(engine, seat.sequence)
            return portion, took_s

        seat.aside, took_s = await self.call(put)
        self.tally.preempted += 1
        if seat.aside is not None:
            self._aside_token_s = 2 * took_s / seat.context  # there and back
        seat.holds(0)

    async def _bring_back(self, seat: Seat) -> None:
        portion, seat.aside = seat.aside, None

        def bring(engine: Engine) -> int:
            if portion is not None:
                with suppress(StateForeign, EngineFull):
                    engine.adopt(seat.sequence, portion)
            return engine.length(seat.sequence)

        held = await self.call(bring)
        seat.holds(held)

    def _held_tokens(self, engine: Engine) -> int:
        # The engine counts a beginning for each who shares it; the house counts prompts that are not computed yet.
        return min(super()._held_tokens(engine), self._house.held)

    # --- prefixes -----------------------------------------------------------------------------------------------------

    async def _filled(self, sequence: int, prompt: Sequence[int], tenant: str) -> int:
        self.tally.prefix_tokens += len(prompt)
        seat = self._house.at(sequence)
        other, common = self._house.beginning(prompt, tenant)
        # As it is now: what is copied is what somebody holds who may be put out, and hold another's later.
        lent = () if other is None else other.stretches

        def begin(engine: Engine) -> tuple[int, Iterator[None]]:
            copied = self._copied(engine, sequence, prompt, tenant, other, common)
            return copied, self._prefixes.adopting(engine, sequence, prompt, tenant)

        copied, pieces = await self.call(begin)
        if seat is not None:
            seat.lent = clipped(lent, copied) if self._house.shares else ()
        more, held = True, 0
        while more:
            more, held = await self.call(lambda engine: (_some(pieces), engine.length(sequence)))
        self.tally.prefix_hit_tokens += held
        return held

    def _copied(  # noqa: PLR0917 (what is copied, from whom and for whom)
        self, engine: Engine, sequence: int, prompt: Sequence[int], tenant: str, other: Seat | None, common: int
    ) -> int:
        """How many tokens `sequence` now holds of what `other` holds, which costs little."""
        if other is None or other not in self._house or not self._prefixes.has_ranges:
            return 0
        shared = whole_blocks(min(common, engine.length(other.sequence)))
        # In a room that all share it takes no more of it; between rooms of their own it is a copy, no better than a
        # cache's.
        if not shared or not (self._house.shares or shared > self._prefixes.found(prompt, tenant)):
            return 0
        engine.copy(other.sequence, sequence)
        engine.rollback(sequence, shared)
        return shared

    def _farewell(self, seat: Seat) -> Iterator[Callable[[Engine], object]]:
        if seat.turn is not None and seat.here:
            pieces: list[Iterator[None]] = []
            goes_on = [True]

            def begin(engine: Engine) -> None:
                pieces.append(self._prefixes.keeping(engine, seat.sequence, seat.tokens, seat.tenant))

            def go_on(_: Engine) -> None:
                goes_on[0] = False
                try:
                    goes_on[0] = _some(pieces[0])
                except Exception:
                    # Whatever happens, the sequence is let go.
                    log.exception("a prompt's blocks could not be kept")

            yield begin
            while goes_on[0] and not self._closed:
                yield go_on
        yield from super()._farewell(seat)

    async def _keep_states(self) -> None:
        for seat in [one for one in self._seats if one.here and one.context]:
            at = seat.context
            if at == self._prefixes.border(at - 1, len(seat.prompt)) and seat in self._seats:
                await self.call(
                    lambda engine, seat=seat: self._prefixes.keep_state(  # type: ignore[misc]
                        engine, seat.sequence, seat.tokens, seat.tenant
                    )
                )

    def _wait_s(self) -> int:
        requests = self._requests(self._seats)
        waiting = [USUAL_TOKENS] * (len(requests) + len(self._waiting))
        return retry_after_s(wait_s(requests, waiting, self._time, self._facts.sequences))


def _some(pieces: Iterator[None]) -> bool:
    """A little of it, so that nobody who speaks waits long; whether there is more."""
    ends_s = time.monotonic() + SLICE_S
    return any(time.monotonic() >= ends_s for _ in pieces)
