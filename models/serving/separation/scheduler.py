"""A scheduler whose prompts may be computed by a worker elsewhere, where that is faster."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from models.engine.port import Engine, Facts, Portion
from models.engine.thread import EngineThread
from models.serving.fifo import MOST_WAITING, Seat
from models.serving.planning.budget import LEAST_ROWS, prompt_rows, speaking_work
from models.serving.planning.request import Request
from models.serving.prefix.pool import Pool
from models.serving.separation.corrected import UNSEEN
from models.serving.separation.cost import Choice, choose, compute_s
from models.serving.separation.fetcher import Fetcher
from models.serving.stall_free import MOST_ROWS, StallFreeScheduler
from protocol.errors import KinflowError

log = logging.getLogger(__name__)
PATIENCE_S = 1.0


@dataclass(frozen=True)
class _Begun:
    """at_s: when a prompt began to be computed here. reckoned_s: how long that should take."""

    at_s: float
    reckoned_s: float


class SeparatedScheduler(StallFreeScheduler):
    """A StallFreeScheduler with a prefill worker. What comes from it is put into the sequence range by range, and the
    answer begins when the last one is in; whatever goes wrong before, the sequence is as it was, and the prompt is
    computed here."""

    fetcher: Fetcher | None = None
    patience_s = PATIENCE_S

    def __init__(
        self, thread: EngineThread, facts: Facts, most_waiting: int = MOST_WAITING, pool: Pool | None = None
    ) -> None:
        super().__init__(thread, facts, most_waiting, pool)
        self._here = self._there = UNSEEN
        self._begun: dict[int, _Begun] = {}

    @classmethod
    async def open_with(
        cls, make: Callable[[], Engine], where: str, secret_file: Path, pool: Pool | None = None
    ) -> SeparatedScheduler:
        """make: as `open` has it. where: host:port."""
        thread = await EngineThread.open(make)
        facts: Facts = await thread.call(lambda engine: engine.facts)
        scheduler = cls(thread, facts, MOST_WAITING, pool)
        scheduler.fetcher = Fetcher(where, secret_file, facts)
        scheduler.fetcher.start()
        return scheduler

    async def close(self) -> None:
        if self.fetcher is not None:
            await self.fetcher.close()
        await super().close()

    async def _filled(self, sequence: int, prompt: Sequence[int], tenant: str) -> int:
        held = await super()._filled(sequence, prompt, tenant)
        choice = self._choice(len(prompt), held)
        if choice is None or not self._fetches(choice):
            if choice is not None:
                self._begun[sequence] = _Begun(time.monotonic(), choice.compute_reckoned_s)
                self._there = self._there.unseen()
            return held
        began_s = time.monotonic()
        try:
            await self._fetch(sequence, prompt, held, choice)
        except KinflowError as error:
            self.tally.prefill_failed += 1
            log.warning("a prompt of %d tokens is computed here after all: %s", len(prompt), error)
            await self.call(lambda engine: engine.rollback(sequence, held))
            return held
        if choice.own_s == choice.fetch_s:  # who waited for others doesn't know what was whose
            self._there = self._there.seen(choice.own_reckoned_s, time.monotonic() - began_s)
        self._here = self._here.unseen()
        self.tally.prefill_fetched += 1
        self.tally.prefill_tokens += len(prompt) - 1 - held
        return len(prompt) - 1

    async def _fetch(self, sequence: int, prompt: Sequence[int], held: int, choice: Choice) -> None:
        assert self.fetcher is not None
        # At the worst a first token comes this much later than without any worker.
        deadline_s = asyncio.get_running_loop().time() + choice.fetch_s + choice.compute_s + self.patience_s
        came: list[Portion] = []
        async with aclosing(self.fetcher.fetch(prompt, held, choice.own_s, deadline_s)) as portions:  # type: ignore[type-var]
            async for portion in portions:
                came.append(portion)
                # In a room of its own what is held is read in anew with each range: all of them at once, then.
                if not self._facts.sequence_tokens:
                    await self._adopt(sequence, came)
        if came:
            await self._adopt(sequence, came)

    async def _adopt(self, sequence: int, came: list[Portion]) -> None:
        """Empties the list."""
        assert self.fetcher is not None
        portions = tuple(came)
        came.clear()
        began_s = time.monotonic()
        await self.call(lambda engine: engine.adopt(sequence, *portions))
        self.tally.prefill_bytes += sum(len(one.data) for one in portions)
        self.fetcher.adopted(portions[-1].end - portions[0].start, time.monotonic() - began_s)

    def _choice(self, prompt_tokens: int, held: int) -> Choice | None:
        """None where there is nothing to choose."""
        worker = None if self.fetcher is None else self.fetcher.worker
        tokens = prompt_tokens - 1
        if worker is None or self.fetcher is None or not self._time.knows or not held < tokens:
            return None
        if prompt_tokens > self.fetcher.limit_tokens:
            return None
        here_s, ahead_s = self._compute_s(tokens, held), self.fetcher.ahead_s
        return choose(worker, (held, tokens), here_s, ahead_s, there=self._there, here=self._here)

    def _fetches(self, choice: Choice) -> bool:
        return choice.fetch

    def _ran(self, steps: Sequence[tuple[Seat, int]]) -> None:
        super()._ran(steps)
        for seat, rows in steps:
            # A prompt that is whole with this step tells how far off what was reckoned for it was.
            if seat.prompt_left and seat.prompt_left <= rows and seat.sequence in self._begun:
                begun = self._begun.pop(seat.sequence)
                self._here = self._here.seen(begun.reckoned_s, time.monotonic() - begun.at_s)

    def _emptied(self, engine: Engine, sequence: int) -> None:
        self._begun.pop(sequence, None)
        super()._emptied(engine, sequence)

    def _compute_s(self, tokens: int, held: int) -> float:
        """What computing them here would take, beside those who speak and behind the prompts that are here already."""
        requests = self._requests(self._seats)
        spoke_s = max((one.spoke_s for one in requests if one.spoke_s is not None), default=0.0)
        coming = Request(0, "", spoke_s, tokens - held, held, math.inf, math.inf)
        rows = max(LEAST_ROWS, prompt_rows([*requests, coming], self._time, MOST_ROWS, spoke_s))
        ahead = sum(one.prompt_left for one in requests)
        return compute_s(self._time, speaking_work(requests), rows, (held, tokens), ahead)
