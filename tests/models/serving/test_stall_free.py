"""The planned scheduler on an engine that takes its time, named as a fake."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from models.engine.fake import FakeEngine
from models.engine.port import Output, Piece
from models.engine.sampling import Sampling
from models.errors import QueueFull
from models.serving.stall_free import StallFreeScheduler

GREEDY = Sampling(temperature=0.0, max_tokens=40, bias={1: float("-inf")})


class SlowEngine(FakeEngine):
    """Steps take as long as they would somewhere; steps: what each of them held, (sequence, rows)."""

    def __init__(self, **options: int) -> None:
        super().__init__(**options)
        self.steps: list[list[tuple[int, int]]] = []

    def decode(self, pieces: Sequence[Piece]) -> list[Output]:
        self.steps.append([(piece.sequence, piece.rows) for piece in pieces])
        time.sleep(0.002 + 0.0004 * sum(piece.rows for piece in pieces))
        return super().decode(pieces)


async def said(scheduler: StallFreeScheduler, prompt: list[int], sampling: Sampling = GREEDY) -> list[int]:
    return [step.choice.token async for step in scheduler.answer(prompt, sampling)]


def test_who_speaks_is_in_every_step_while_a_long_prompt_goes_in_piece_by_piece():
    async def work() -> None:
        engine = SlowEngine(sequences=3, context_tokens=3 * 1024)
        scheduler = await StallFreeScheduler.open(lambda: engine)
        speakers = [asyncio.create_task(said(scheduler, [5, 6, seat])) for seat in range(2)]
        while sum(len(step) == 2 for step in engine.steps) < 6:
            await asyncio.sleep(0.001)
        begun = len(engine.steps)
        long = await said(scheduler, [7] * 900, Sampling(temperature=0.0, max_tokens=2, bias={1: float("-inf")}))
        steps = engine.steps[begun:]
        pieces = [step for step in steps if any(rows > 1 for _, rows in step)]
        assert len(long) == 2
        assert len(pieces) >= 4, "a prompt of 900 is not one step while others speak"
        running = [step for step in pieces if not all(task.done() for task in speakers)]
        assert all(len(step) == 3 for step in running[1:-1]), "everybody who speaks is in it"
        assert [len(one) for one in await asyncio.gather(*speakers)] == [40, 40]
        await scheduler.close()

    asyncio.run(work())


def test_alone_a_prompt_goes_in_as_fast_as_the_engine_takes_it():
    async def work() -> None:
        engine = SlowEngine(sequences=2, context_tokens=2048)
        scheduler = await StallFreeScheduler.open(lambda: engine)
        await said(scheduler, [7] * 900, Sampling(temperature=0.0, max_tokens=1, bias={1: float("-inf")}))
        assert [rows for step in engine.steps for _, rows in step] == [512, 388]
        assert scheduler.step_time.knows
        await scheduler.close()

    asyncio.run(work())


def test_an_answer_is_what_it_would_be_alone_whatever_it_was_cut_into():
    async def work() -> None:
        engine = SlowEngine(sequences=3, context_tokens=3 * 1024)
        scheduler = await StallFreeScheduler.open(lambda: engine)
        prompts = [[9] * 700, [5, 6], [8] * 300]
        alone = [await said(scheduler, prompt) for prompt in prompts]
        together = await asyncio.gather(*(said(scheduler, prompt) for prompt in prompts))
        assert list(together) == alone
        await scheduler.close()

    asyncio.run(work())


def test_who_is_refused_is_told_how_long_the_others_will_take():
    async def work() -> None:
        engine = SlowEngine(sequences=1, context_tokens=2048)
        scheduler = await StallFreeScheduler.open(lambda: engine, most_waiting=0)
        first = asyncio.create_task(said(scheduler, [7] * 600))
        while not engine.steps:
            await asyncio.sleep(0.001)
        with pytest.raises(QueueFull) as refused:
            await said(scheduler, [1, 2])
        assert 1 <= int(refused.value.fields["wait_s"]) < 60
        await first
        await scheduler.close()

    asyncio.run(work())
