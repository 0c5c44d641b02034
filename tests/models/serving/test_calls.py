"""Those who speak are divided into the calls that take the least time, once that is known."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from itertools import combinations_with_replacement

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine.fake import FakeEngine
from models.engine.port import Output, Piece
from models.engine.sampling import Sampling
from models.serving.planning.calls import FEW, FORGOTTEN_CALLS, SPARED, Calls
from models.serving.stall_free import StallFreeScheduler


def knowing(seconds: dict[int, float]) -> Calls:
    found = Calls()
    for size, took_s in seconds.items():
        found = found.learnt(size, took_s)
    return found


@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=8), st.sets(st.integers(1, 8)))
def test_no_way_to_divide_them_is_faster(times: list[float], unknown: set[int]) -> None:
    known = {size: took_s for size, took_s in enumerate(times, 1) if size not in unknown}
    calls, count = knowing(known), len(times)
    sizes = calls.sizes(count)
    assert sum(sizes) == count
    assert list(sizes) == sorted(sizes, reverse=True)
    if count not in known or (1 not in known and count <= FEW):
        assert sizes == ((count,) if count not in known else (1,) * count), "what was never tried is tried"
        return
    every = [
        way for parts in range(1, count + 1) for way in combinations_with_replacement(sorted(known), parts)
        if sum(way) == count
    ]  # fmt: skip
    least = min(sum(known[size] for size in way) for way in every)
    took_s = sum(known[size] for size in sizes)
    assert took_s == pytest.approx(least) or (sizes == (count,) and least >= SPARED * took_s * (1 - 1e-9))


def test_what_was_not_used_for_long_is_tried_again() -> None:
    calls = knowing({1: 0.017, 2: 0.042})
    for _ in range(FORGOTTEN_CALLS):
        assert calls.sizes(2) == (1, 1)
        calls = calls.learnt(1, 0.017)
    assert calls.sizes(2) == (2,)
    # It has become better meanwhile: what it took long ago does not count.
    calls = calls.learnt(2, 0.02)
    assert calls.sizes(2) == (2,)


class FoursEngine(FakeEngine):
    """Takes its time as a machine does that computes four rows together, and the rest one by one and slowly."""

    def __init__(self, **options: int) -> None:
        super().__init__(**options)
        self.steps: list[int] = []

    def decode(self, pieces: Sequence[Piece]) -> list[Output]:
        rows = sum(piece.rows for piece in pieces)
        self.steps.append(len(pieces))
        single = rows % 4
        time.sleep(0.004 * (rows // 4) * 3 + 0.004 * single * (2.0 if rows > 1 else 1.0))
        return super().decode(pieces)


def test_two_who_speak_are_computed_one_by_one_where_that_is_faster_and_four_together() -> None:
    async def work() -> None:
        engine = FoursEngine(sequences=4, context_tokens=2048)
        scheduler = await StallFreeScheduler.open(lambda: engine)
        greedy = Sampling(temperature=0.0, max_tokens=100, bias={1: float("-inf")})

        async def said(prompt: list[int]) -> list[int]:
            return [step.choice.token async for step in scheduler.answer(prompt, greedy)]

        prompts = [[5, 6, seat] for seat in range(4)]
        alone = [await said(prompt) for prompt in prompts]
        engine.steps.clear()
        assert list(await asyncio.gather(*map(said, prompts[:2]))) == alone[:2]
        assert engine.steps.count(1) > 150, "of 200 tokens, but for the first time"
        engine.steps.clear()
        assert list(await asyncio.gather(*map(said, prompts))) == alone
        assert engine.steps.count(4) > 30
        await scheduler.close()

    asyncio.run(work())
