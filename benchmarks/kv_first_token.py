"""How soon the first token of a prompt is there while others speak: brought from a worker, and computed here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from models.engine.sampling import Sampling
from models.serving.separation.cost import Choice
from models.serving.separation.scheduler import SeparatedScheduler

SPOKEN_BEFORE = 8
OPEN_S = 120.0


class Told(SeparatedScheduler):
    """fetch: what the bench wants; last: what it would have chosen itself. It waits for as long as it takes."""

    patience_s = 600.0
    fetch: bool | None = None
    last: Choice | None = None

    def _fetches(self, choice: Choice) -> bool:
        self.last = choice
        return choice.fetch if self.fetch is None else self.fetch


@dataclass(frozen=True)
class First:
    """ttft_s: of the prompt. gap_s: the longest of those who spoke meanwhile."""

    ttft_s: float
    gap_s: float


async def first_token(scheduler: Told, prompt: Sequence[int], speakers: int, *, fetch: bool) -> First:
    """With so many answers under way, each of which has said some tokens before."""
    never = {token: float("-inf") for token in scheduler.facts.ends}
    said = [0] * speakers
    gaps: list[float] = []
    watched = False

    async def speak(number: int) -> None:
        last_s = None
        async with aclosing(
            scheduler.answer([5 + number] * 16, Sampling(temperature=0.0, max_tokens=100_000, bias=never))
        ) as steps:  # type: ignore[type-var]
            async for _ in steps:
                now_s = time.perf_counter()
                if watched and last_s is not None:
                    gaps.append(now_s - last_s)
                last_s, said[number] = now_s, said[number] + 1

    scheduler.fetch = False  # those who speak are not what is measured
    speaking = [asyncio.create_task(speak(number)) for number in range(speakers)]
    try:
        while any(count < SPOKEN_BEFORE for count in said):
            await asyncio.sleep(0.005)
        scheduler.fetch, watched = fetch, True
        began_s = time.perf_counter()
        async with aclosing(scheduler.answer(prompt, Sampling(temperature=0.0, max_tokens=2, bias=never))) as steps:  # type: ignore[type-var]
            await anext(steps)
            return First(time.perf_counter() - began_s, max(gaps, default=0.0))
    finally:
        watched = False
        for task in speaking:
            task.cancel()
        await asyncio.gather(*speaking, return_exceptions=True)


async def connected(scheduler: Told) -> None:
    """Once the way to the worker is open. Raises RuntimeError."""
    assert scheduler.fetcher is not None
    deadline_s = time.monotonic() + OPEN_S
    while scheduler.fetcher.worker is None:
        if time.monotonic() > deadline_s:
            raise RuntimeError("there is no way to the worker")
        await asyncio.sleep(0.01)
