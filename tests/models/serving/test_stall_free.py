"""The planned scheduler on an engine that takes its time, named as a fake."""

from __future__ import annotations

import asyncio
import operator
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from models.engine.fake import FakeEngine
from models.engine.port import Facts, Output, Piece
from models.engine.sampling import Sampling
from models.errors import EngineFailed, QueueFull
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


def test_alone_a_prompt_goes_in_steps_that_waste_little_and_let_others_in():
    async def work() -> None:
        engine = SlowEngine(sequences=2, context_tokens=2048)
        scheduler = await StallFreeScheduler.open(lambda: engine)
        await said(scheduler, [7] * 900, Sampling(temperature=0.0, max_tokens=1, bias={1: float("-inf")}))
        rows = [rows for step in engine.steps for _, rows in step]
        assert rows == [512, 388], "nothing is known of a token alone yet"
        await said(scheduler, [5, 6])
        begun = len(engine.steps)
        await said(scheduler, [8] * 900, Sampling(temperature=0.0, max_tokens=1, bias={1: float("-inf")}))
        rows = [rows for step in engine.steps[begun:] for _, rows in step]
        assert sum(rows) == 900
        assert max(rows) < 512, "somebody may come"
        # What does not grow with a step's rows is at most a tenth of all.
        assert 0.002 * len(rows) <= 0.1 * 0.0004 * 900
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


def test_between_tenants_the_free_sequence_goes_to_who_was_given_least():
    async def work() -> None:
        engine = SlowEngine(sequences=1, context_tokens=2048)
        scheduler = await StallFreeScheduler.open(lambda: engine, most_waiting=8)
        order: list[str] = []

        async def one(tenant: str) -> None:
            async for _ in scheduler.answer([5, 6], Sampling(temperature=0.0, max_tokens=3), tenant):
                pass
            order.append(tenant)

        busy = [asyncio.create_task(one("busy")) for _ in range(5)]
        while not order:
            await asyncio.sleep(0.001)
        await asyncio.gather(asyncio.create_task(one("quiet")), *busy)
        # The one that runs already is not thrown out; the four that wait are passed.
        assert "quiet" in order[:3]
        await scheduler.close()

    asyncio.run(work())


class BrokenEngine(SlowEngine):
    """Fails as code fails, not as an engine does."""

    def decode(self, pieces: Sequence[Piece]) -> list[Output]:
        if len(self.steps) == 3:
            self.steps.append([])
            raise ZeroDivisionError
        return super().decode(pieces)


def test_a_fault_of_ours_ends_the_answers_of_its_step_and_not_the_pump(caplog: pytest.LogCaptureFixture):
    async def work() -> None:
        scheduler = await StallFreeScheduler.open(lambda: BrokenEngine(sequences=2, context_tokens=512))
        with pytest.raises(EngineFailed, match="ZeroDivisionError"):
            await said(scheduler, [5, 6])
        assert len(await said(scheduler, [5, 6])) == 40
        await scheduler.close()

    asyncio.run(work())
    assert "a step of the engine failed" in caplog.text


class HangingEngine(SlowEngine):
    """Hangs in its third step until it is let go."""

    def __init__(self, **options: int) -> None:
        super().__init__(**options)
        self.let_go = threading.Event()

    def decode(self, pieces: Sequence[Piece]) -> list[Output]:
        if len(self.steps) == 2:
            self.let_go.wait()
        return super().decode(pieces)


def test_a_step_that_hangs_is_seen_and_seen_to_be_over():
    async def work() -> None:
        engine = HangingEngine(sequences=2, context_tokens=512)
        scheduler = await StallFreeScheduler.open(lambda: engine)
        assert scheduler.stalled_s == 0
        answer = asyncio.create_task(said(scheduler, [5, 6]))
        while scheduler.stalled_s < 0.2:
            await asyncio.sleep(0.01)
        assert scheduler.load.running == 1
        engine.let_go.set()
        assert len(await answer) == 40
        assert scheduler.stalled_s < 0.2
        await scheduler.close()

    asyncio.run(work())


def test_what_is_counted_is_what_was_done():
    async def work() -> None:
        engine = SlowEngine(sequences=2, context_tokens=1024)
        scheduler = await StallFreeScheduler.open(lambda: engine)
        await asyncio.gather(*(said(scheduler, [5, 6, seat]) for seat in range(3)))
        tally = scheduler.tally
        assert sum(tally.first_s.counts) == sum(tally.waited_s.counts) == 3
        assert sum(tally.between_s.counts) == 3 * 39
        # A step is one call of the engine, but where it was tried what one alone takes.
        assert len(engine.steps) - 2 <= sum(tally.rows.counts) <= len(engine.steps)
        assert tally.rows.total == sum(rows for step in engine.steps for _, rows in step)
        assert tally.budget_rows.total >= tally.rows.total
        assert tally.room_tokens == 1024
        while tally.held_tokens:  # what a sequence held is gone with it
            await asyncio.sleep(0.001)
        await scheduler.close()

    asyncio.run(work())


class Filling(StallFreeScheduler):
    """Brings all but the last few tokens of a prompt from elsewhere: here, from a step of its own."""

    async def _filled(self, sequence: int, prompt: Sequence[int], tenant: str) -> int:
        held = len(prompt) - 3
        await self.call(lambda engine: engine.decode([Piece(sequence, prompt[:held], wanted="none")]))
        return held


def test_an_answer_goes_on_behind_what_its_sequence_was_filled_with():
    async def work() -> None:
        prompt = list(range(5, 205))
        plain, engine = (
            await StallFreeScheduler.open(lambda: SlowEngine(sequences=1, context_tokens=512)),
            SlowEngine(context_tokens=1024),
        )
        filling = await Filling.open(lambda: engine)
        assert await said(filling, prompt) == await said(plain, prompt)
        assert [rows for step in engine.steps for _, rows in step][:3] == [197, 3, 1]
        await plain.close()
        await filling.close()

    asyncio.run(work())


class OwnRoomEngine(SlowEngine):
    """Each sequence has room of its own."""

    @property
    def facts(self) -> Facts:
        facts = super().facts
        return replace(facts, sequence_tokens=facts.context_tokens // facts.sequences)


def test_who_speaks_stands_side_by_side_where_each_has_room_of_its_own():
    async def work() -> None:
        engine = OwnRoomEngine(sequences=6, context_tokens=6 * 256)
        scheduler = await StallFreeScheduler.open(lambda: engine)
        prompts = [[5, 6, seat] for seat in range(6)]

        async def leaves(prompt: list[int], after: int) -> list[int]:
            return await said(scheduler, prompt, replace(GREEDY, max_tokens=after))

        alone = [await leaves(prompt, 120) for prompt in prompts]
        begun = len(engine.steps)
        lengths = (120, 5, 120, 8, 120, 11)
        together = await asyncio.gather(*map(leaves, prompts, lengths))
        assert together == [one[:length] for one, length in zip(alone, lengths, strict=True)]
        late = [sorted(sequence for sequence, _ in step) for step in engine.steps[begun:] if len(step) == 3]
        assert len(late) > 20
        assert late[-1] == [0, 1, 2], "three of six are left, and none of the gaps"
        # All of the room can be had again.
        assert len(await asyncio.gather(*(said(scheduler, prompt) for prompt in prompts))) == 6
        await scheduler.close()

    asyncio.run(work())


def test_who_leaves_while_it_moves_leaves_nothing_behind():
    async def work() -> None:
        engine = OwnRoomEngine(sequences=4, context_tokens=4 * 256)
        scheduler = await StallFreeScheduler.open(lambda: engine)
        for round_ in range(12):
            tasks = [asyncio.create_task(said(scheduler, [5, seat])) for seat in range(4)]
            await asyncio.sleep(0.004 * (round_ % 6))
            for place in (0, 2, 3):
                tasks[place].cancel()
                await asyncio.sleep(0.003)
            await asyncio.gather(*tasks, return_exceptions=True)
        assert len(await asyncio.gather(*(said(scheduler, [9, seat]) for seat in range(4)))) == 4
        while scheduler.load.running:
            await asyncio.sleep(0.002)
        assert [await scheduler.call(lambda engine, one=one: engine.length(one)) for one in range(4)] == [0] * 4
        await scheduler.close()

    asyncio.run(work())


class HalfBrokenEngine(OwnRoomEngine):
    """No step with more than a row of a piece works."""

    def decode(self, pieces: Sequence[Piece]) -> list[Output]:
        if max(piece.rows for piece in pieces) > 4:
            raise EngineFailed(detail="as asked for")
        return super().decode(pieces)


def test_where_each_has_room_of_its_own_a_prompt_that_fails_harms_nobody_who_speaks():
    async def work() -> None:
        engine = HalfBrokenEngine(sequences=3, context_tokens=3 * 256)
        scheduler = await StallFreeScheduler.open(lambda: engine)
        speaker = asyncio.create_task(said(scheduler, [5, 6]))
        while len(engine.steps) < 5:
            await asyncio.sleep(0.001)
        with pytest.raises(EngineFailed):
            await said(scheduler, [7] * 50)
        assert not speaker.done()
        assert len(await speaker) == 40
        assert len(await said(scheduler, [5, 6])) == 40
        await scheduler.close()

    asyncio.run(work())


def test_what_who_speaks_takes_is_learnt_beside_prompts_too():
    """A machine that becomes slower while a prompt goes in: gaps are promised by what it does now."""

    class Slowing(OwnRoomEngine):
        slow_s = 0.0

        def decode(self, pieces: Sequence[Piece]) -> list[Output]:
            if all(piece.rows == 1 for piece in pieces):
                time.sleep(self.slow_s)
            return super().decode(pieces)

    async def work() -> None:
        engine = Slowing(sequences=2, context_tokens=2 * 16_384)
        scheduler = await StallFreeScheduler.open(lambda: engine)
        speaker = asyncio.create_task(said(scheduler, [5, 6], replace(GREEDY, max_tokens=400)))
        while len(engine.steps) < 30:
            await asyncio.sleep(0.001)
        before_s = scheduler.step_time.step_s
        engine.slow_s = 0.02
        begun = len(engine.steps)
        long = asyncio.create_task(said(scheduler, [7] * 16_000, replace(GREEDY, max_tokens=1)))
        while len(engine.steps) < begun + 60:
            await asyncio.sleep(0.001)
        beside = [any(rows > 1 for _, rows in step) for step in engine.steps[begun + 10 : begun + 60]]
        assert all(map(operator.or_, beside, beside[1:])), "nobody who speaks had a step without the prompt"
        assert scheduler.step_time.step_s > before_s + 0.008
        for task in (speaker, long):
            task.cancel()
        await asyncio.gather(speaker, long, return_exceptions=True)
        await scheduler.close()

    asyncio.run(work())


def test_many_who_begin_alike_share_a_room_that_is_too_small_for_each_of_them():
    async def work() -> None:
        engine = SlowEngine(sequences=4, context_tokens=640)
        scheduler = await StallFreeScheduler.open(lambda: engine)
        beginning = [7] * 304
        prompts = [[*beginning, 20 + seat, 30] for seat in range(4)]
        alone = [await said(scheduler, prompt) for prompt in prompts]
        begun = len(engine.steps)
        first = asyncio.create_task(said(scheduler, prompts[0]))
        while len(engine.steps) < begun + 3:
            await asyncio.sleep(0.001)
        others = [asyncio.create_task(said(scheduler, prompt)) for prompt in prompts[1:]]
        held = 0
        while not all(one.done() for one in others):
            held = max(held, scheduler.tally.held_tokens)
            await asyncio.sleep(0.001)
        assert [await first, *[await one for one in others]] == alone
        assert max(len(step) for step in engine.steps[begun:]) == 4, "all of them speak at once"
        assert scheduler.tally.preempted == 0
        assert 304 < held <= 640
        # All of the room can be had again, by one alone.
        assert len(await said(scheduler, [9] * 590)) == 40
        await scheduler.close()

    asyncio.run(work())
