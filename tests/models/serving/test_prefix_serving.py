"""Prompts that begin alike, and answers that together need more room than there is: an answer is the same as alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.engine.fake import FakeEngine
from models.engine.generate import generate
from models.engine.port import Engine, Output, Piece
from models.engine.sampling import Sampling
from models.errors import EngineStopped
from models.serving.prefix.disk import Disk
from models.serving.prefix.keys import BLOCK_TOKENS
from models.serving.prefix.pool import Pool
from models.serving.prefix.tree import Tree
from models.serving.stall_free import StallFreeScheduler
from tests.models.engine.conftest import Open, files, loaded, open_engine  # noqa: F401 (fixtures)

NO_END = {1: float("-inf"), 2: float("-inf")}


class CountingEngine(FakeEngine):
    """rows: how many were computed."""

    def __init__(self, **options: int) -> None:
        super().__init__(**options)
        self.rows = 0

    def decode(self, pieces: Sequence[Piece]) -> list[Output]:
        self.rows += sum(piece.rows for piece in pieces)
        return super().decode(pieces)


async def said(scheduler: StallFreeScheduler, prompt: list[int], most: int = 8, tenant: str = "") -> list[int]:
    sampling = Sampling(max_tokens=most, bias=NO_END)
    return [step.choice.token async for step in scheduler.answer(prompt, sampling, tenant)]


async def idle(scheduler: StallFreeScheduler) -> None:
    async with asyncio.timeout(10):
        while scheduler.load.running:
            await asyncio.sleep(0.001)


def alone(engine: Engine, prompt: list[int], most: int) -> list[int]:
    engine.rollback(0, 0)
    return [step.choice.token for step in generate(engine, 0, prompt, Sampling(max_tokens=most, bias=NO_END))]


def prompt_of(length: int, seed: int = 0) -> list[int]:
    return [3 + (7 * place + 13 * seed) % 200 for place in range(length)]


def test_what_was_computed_once_is_adopted_and_nothing_else_changes():
    async def work() -> None:
        engine = CountingEngine(sequences=2, context_tokens=1024)
        scheduler = await StallFreeScheduler.open(lambda: engine)
        first = await said(scheduler, prompt_of(200))
        await idle(scheduler)
        engine.rows = 0
        assert await said(scheduler, prompt_of(200)) == first
        await idle(scheduler)
        assert engine.rows == 200 % BLOCK_TOKENS + 7
        # The next turn of a dialogue begins with the last one and what was said to it.
        engine.rows = 0
        following = prompt_of(200) + first + prompt_of(30, 1)
        answer = await said(scheduler, following)
        assert engine.rows < 30 + BLOCK_TOKENS + 8
        assert scheduler.tally.prefix_hit_tokens == 192 + (200 + 7) // BLOCK_TOKENS * BLOCK_TOKENS
        assert scheduler.tally.prefix_tokens == 400 + len(following)
        await scheduler.close()
        assert answer == alone(FakeEngine(context_tokens=1024), following, 8)

    asyncio.run(work())


def test_who_speaks_lends_its_beginning_to_who_comes():
    async def work() -> None:
        engine = CountingEngine(sequences=2, context_tokens=1024)
        scheduler = await StallFreeScheduler.open(lambda: engine, pool=Pool(0))
        sampling = Sampling(max_tokens=400, bias=NO_END)
        speaker = scheduler.answer(prompt_of(200), sampling)
        await anext(speaker)
        other = prompt_of(150) + prompt_of(20, 1)
        assert await said(scheduler, other) == alone(FakeEngine(context_tokens=1024), other, 8)
        assert scheduler.tally.prefix_hit_tokens == 150 // BLOCK_TOKENS * BLOCK_TOKENS
        await speaker.aclose()  # type: ignore[attr-defined]
        await scheduler.close()

    asyncio.run(work())


@pytest.mark.parametrize("running", [True, False])
def test_no_tenant_is_helped_by_what_another_one_asked(running):
    async def work() -> None:
        scheduler = await StallFreeScheduler.open(lambda: FakeEngine(sequences=2, context_tokens=1024))
        speaker = scheduler.answer(prompt_of(200), Sampling(max_tokens=300, bias=NO_END), "a")
        await anext(speaker)
        if not running:
            await speaker.aclose()  # type: ignore[attr-defined]
            await idle(scheduler)
        await said(scheduler, prompt_of(200), tenant="b")
        assert scheduler.tally.prefix_hit_tokens == 0
        await said(scheduler, prompt_of(200), tenant="a")
        assert scheduler.tally.prefix_hit_tokens == 192
        await speaker.aclose()  # type: ignore[attr-defined]
        await scheduler.close()

    asyncio.run(work())


@pytest.mark.parametrize("kind", ["dense", "window", "recurrent", "hybrid"])
def test_real_engines_go_on_from_what_was_kept(open_engine: Open, kind: str, tmp_path: Path):  # noqa: F811
    """In F32 without fused attention, where steps of another shape agree to a thousandth: the same tokens, whatever the
    memory; the second time from a disk."""
    prompts = [prompt_of(100), prompt_of(100), prompt_of(100) + prompt_of(9, 1), prompt_of(70)]

    async def work(pool: Pool) -> tuple[list[list[int]], int]:
        scheduler = await StallFreeScheduler.open(lambda: open_engine(kind, context_tokens=512, sequences=2), pool=pool)
        answers = []
        for prompt in prompts:
            answers.append(await said(scheduler, prompt, 6))
            await idle(scheduler)
        hits = scheduler.tally.prefix_hit_tokens
        await scheduler.close()
        return answers, hits

    engine = open_engine(kind, context_tokens=512)
    expected = [alone(engine, prompt, 6) for prompt in prompts]
    answers, hits = asyncio.run(work(Pool(10_000_000, Disk(tmp_path, Tree(10_000_000)))))
    assert answers == expected
    assert hits >= 96 + 96
    answers, hits = asyncio.run(work(Pool(0, Disk(tmp_path, Tree(10_000_000)))))
    assert answers == expected
    assert hits >= 96 + 96
    answers, hits = asyncio.run(work(Pool(0, Disk(tmp_path, Tree(10_000_000)))))
    assert answers == expected
    assert hits >= 3 * 96


needs = st.lists(st.tuples(st.integers(1, 90), st.integers(1, 60)), min_size=1, max_size=6)


@settings(max_examples=12, deadline=None)
@given(needs, st.booleans())
def test_more_than_fits_is_answered_without_losing_or_repeating_a_token(asked, keeps):
    """Everybody may take the whole context; together they need far more."""

    async def work() -> list[list[int]]:
        scheduler = await StallFreeScheduler.open(
            lambda: FakeEngine(sequences=6, context_tokens=128), pool=Pool(keeps * 10_000_000)
        )
        prompts = [prompt_of(length, seed) for seed, (length, _) in enumerate(asked)]
        tasks = [said(scheduler, prompt, most) for prompt, (_, most) in zip(prompts, asked, strict=True)]
        async with asyncio.timeout(20):
            found = list(await asyncio.gather(*tasks))
        await scheduler.close()
        return found

    engine = FakeEngine(context_tokens=128)
    expected = [alone(engine, prompt_of(length, seed), most) for seed, (length, most) in enumerate(asked)]
    assert asyncio.run(work()) == expected


@pytest.fixture
def no_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.serving.planning.room.RESERVE_TOKENS", 0)


@pytest.mark.parametrize("keeps", [True, False], ids=["aside", "computed again"])
@pytest.mark.parametrize("kind", ["fake", "dense", "window", "recurrent", "hybrid"])
def test_who_is_put_out_goes_on_where_it_was(open_engine: Open, no_reserve, kind, keeps, monkeypatch):  # noqa: F811
    if not keeps:
        monkeypatch.setattr("models.serving.stall_free.is_kept", lambda *_: False)

    def make(sequences: int) -> Engine:
        if kind == "fake":
            return FakeEngine(sequences=sequences, context_tokens=256)
        return open_engine(kind, context_tokens=256, sequences=sequences)

    prompts = [prompt_of(60, seed) for seed in range(4)]

    async def work() -> tuple[list[list[int]], int]:
        scheduler = await StallFreeScheduler.open(lambda: make(4))
        async with asyncio.timeout(30):
            found = await asyncio.gather(*(said(scheduler, prompt, 40) for prompt in prompts))
        preempted = scheduler.tally.preempted
        await scheduler.close()
        return list(found), preempted

    found, preempted = asyncio.run(work())
    assert preempted > 0
    engine = make(1)
    assert found == [alone(engine, prompt, 40) for prompt in prompts]


def test_a_held_sequence_has_its_share_although_answers_take_what_they_need():
    async def work() -> None:
        engine = FakeEngine(sequences=2, context_tokens=256)
        scheduler = await StallFreeScheduler.open(lambda: engine)
        task = asyncio.create_task(said(scheduler, prompt_of(100), 150))
        await asyncio.sleep(0.02)
        async with scheduler.hold() as sequence:
            for _ in range(scheduler.limit_tokens):
                await scheduler.call(lambda engine: engine.decode([Piece(sequence, [9])]))
        assert await asyncio.wait_for(task, 20) == alone(FakeEngine(context_tokens=256), prompt_of(100), 150)
        await scheduler.close()

    asyncio.run(work())


def test_who_leaves_while_it_is_out_or_waits_for_room_leaves_no_trace():
    async def work() -> None:
        engine = FakeEngine(sequences=4, context_tokens=256)
        scheduler = await StallFreeScheduler.open(lambda: engine)
        first = asyncio.create_task(said(scheduler, prompt_of(120), 100))
        others = [asyncio.create_task(said(scheduler, prompt_of(100, seed), 100)) for seed in range(1, 4)]
        await asyncio.sleep(0.02)
        for one in others:
            one.cancel()
        assert await first == alone(FakeEngine(context_tokens=256), prompt_of(120), 100)
        await asyncio.gather(*others, return_exceptions=True)
        await idle(scheduler)
        assert await scheduler.call(lambda engine: [engine.length(one) for one in range(4)]) == [0] * 4
        assert scheduler.tally.held_tokens == 0
        await said(scheduler, prompt_of(250))
        await scheduler.close()

    asyncio.run(work())


def test_who_waits_for_room_is_told_when_the_scheduler_closes():
    async def work() -> None:
        scheduler = await StallFreeScheduler.open(lambda: FakeEngine(sequences=2, context_tokens=256))
        first = asyncio.create_task(said(scheduler, prompt_of(200), 50))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(said(scheduler, prompt_of(150, 1), 50))
        held = asyncio.create_task(scheduler.hold().__aenter__())
        await asyncio.sleep(0)
        await scheduler.close()
        async with asyncio.timeout(5):
            found = await asyncio.gather(first, second, held, return_exceptions=True)
        assert isinstance(found[1], EngineStopped)
        assert isinstance(found[2], EngineStopped)

    asyncio.run(work())
