"""The prefix cache: how much of a trace's prompts it finds, beside what others would, and what that gains.

Hits go the way that a server's go: prompts' keys, adoption, keeping, by the cache's own code, before an engine that
keeps tokens in place of keys and values, so that blocks are counted and nothing is computed. The first token's time is
measured with real weights, through the scheduler.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from benchmarks.kv_loads import agents
from benchmarks.kv_worker import placed
from benchmarks.serving.traces.mooncake import read_mooncake
from models.engine.fake import FakeEngine
from models.engine.port import Engine, Portion
from models.engine.sampling import Sampling
from models.engine.state import pack, unpack
from models.serving.prefix.keys import BLOCK_TOKENS
from models.serving.prefix.pool import Pool
from models.serving.prefix.prefixes import Prefixes
from models.serving.prefix.replay import least_recent_hits, optimal_hits, replayed_hits
from models.serving.stall_free import StallFreeScheduler

# Of a prompt, that was asked before; the first asks all of it for the others.
SHARES = (1.0, 0.5, 0.9)
SIZES = (1_000, 5_000, 20_000, 50_000)
MADE_REQUESTS = 6_000
POOL_BYTES = 2_000_000_000
Prompts = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Setting:
    """trace: in Mooncake's form, its blocks taken as ones of the cache's size; None for one that is made here. limit:
    of its requests, 0 for all. blocks: the size that the figures on top are for. family: "" for a file of the engine
    benchmark's shape. rounds: each of a prompt of which nothing is known, one of which half, and nine tenths are."""

    trace: Path | None = None
    limit: int = 0
    blocks: int = 5_000
    family: str = ""
    prompt_tokens: int = 1024
    threads: int = 0
    rounds: int = 3


class Found(Struct, frozen=True, kw_only=True):
    """Blocks found. hits: by the cache. ideal_hits: by its policy, replayed by other code. lru_hits, belady_hits: by
    the order of last use, and by who knows what is to come."""

    blocks: int
    hits: int
    ideal_hits: int
    lru_hits: int
    belady_hits: int


class Figures(Struct, frozen=True, kw_only=True):
    """hits and so on: as `Found`, at `blocks`; sizes: at others. asked_blocks: of all prompts. ttft_ms: of prompts of
    which nothing, half, nine tenths were known, medians; ttft_gain_50, ttft_gain_90: how many times sooner than
    computed anew, the median of rounds."""

    trace: str
    requests: int
    asked_blocks: int
    blocks: int
    hits: int
    ideal_hits: int
    lru_hits: int
    belady_hits: int
    sizes: list[Found]
    bytes_per_token: float
    ttft_gain_50: float
    ttft_gain_90: float
    ttft_ms: dict[str, float]
    prompt_tokens: int
    rounds: int
    model: str
    threads: int


def measure(setting: Setting) -> Figures:
    """Raises TraceUnreadable (KF462), what opening weights does, and RuntimeError where the model can't be made."""
    name, prompts = _load(setting)
    sizes = [found(prompts, size) for size in sorted({*SIZES, setting.blocks})]
    top = next(one for one in sizes if one.blocks == setting.blocks)
    threads = setting.threads or os.cpu_count() or 1
    with placed(setting.family, setting.prompt_tokens + 1) as place:
        holding = place.holding(threads, 1)
        try:
            times, per_token = asyncio.run(_first_tokens(holding.engine, setting))
        finally:
            holding.close()
    return Figures(
        trace=name,
        requests=len(prompts),
        asked_blocks=sum(map(len, prompts)),
        blocks=setting.blocks,
        hits=top.hits,
        ideal_hits=top.ideal_hits,
        lru_hits=top.lru_hits,
        belady_hits=top.belady_hits,
        sizes=sizes,
        bytes_per_token=round(per_token, 1),
        ttft_gain_50=round(statistics.median(none / half for none, half, _ in times), 2),
        ttft_gain_90=round(statistics.median(none / most for none, _, most in times), 2),
        ttft_ms={
            reuse: round(1000 * statistics.median(one[place] for one in times), 1)
            for place, reuse in enumerate(("0", "50", "90"))
        },
        prompt_tokens=setting.prompt_tokens,
        rounds=setting.rounds,
        model=holding.name,
        threads=threads,
    )


def _load(setting: Setting) -> tuple[str, Prompts]:
    if setting.trace is None:
        made = agents(1, setting.limit or MADE_REQUESTS)
        return "agents (synthetic)", [[int.from_bytes(key, "big") for key in keys] for keys in made]
    trace = read_mooncake(setting.trace, setting.limit or None)
    return trace.name, [row.blocks for row in trace.rows]


def found(prompts: Prompts, blocks: int) -> Found:
    keys = [[block.to_bytes(8, "big") for block in prompt] for prompt in prompts]
    return Found(
        blocks=blocks,
        hits=_hits(prompts, blocks),
        ideal_hits=replayed_hits(keys, blocks),
        lru_hits=least_recent_hits(keys, blocks),
        belady_hits=optimal_hits(keys, blocks),
    )


class TokenEngine(FakeEngine):
    """A simulation, named as one: what it keeps of a token is the token, eight bytes of it, and it computes nothing."""

    def hold(self, tokens: Sequence[int]) -> None:
        self._held[0] = list(tokens)

    def export(self, sequence: int, start: int = 0, end: int | None = None) -> Portion:
        return pack(self.facts, start, end or 0, array("q", self._held[sequence][start:end]).tobytes(), whole=False)

    def adopt(self, sequence: int, *portions: Portion) -> None:
        for portion in portions:
            self._held[sequence] += array("q", unpack(portion, self.facts, self.length(sequence)))


def _hits(prompts: Prompts, blocks: int) -> int:
    engine = TokenEngine(context_tokens=1, sequences=1)
    prefixes = Prefixes(engine.facts, Pool(blocks * BLOCK_TOKENS * 8))
    hits = 0
    for prompt in prompts:
        # One token more than its blocks: the last one is always computed.
        tokens = [token for block in prompt for token in [block] * BLOCK_TOKENS] + [-1]
        engine.hold([])
        for _ in prefixes.adopting(engine, 0, tokens, ""):
            pass
        adopted = engine.length(0)
        if engine._held[0] != tokens[:adopted]:
            raise RuntimeError("the cache gave another prompt's blocks")
        hits += adopted // BLOCK_TOKENS
        engine.hold(tokens)
        for _ in prefixes.keeping(engine, 0, tokens, ""):
            pass
    return hits


async def _first_tokens(make: Callable[[], Engine], setting: Setting) -> tuple[list[tuple[float, ...]], float]:
    """Of each round the first tokens' times, and the bytes that a token is kept in."""
    length, dice = setting.prompt_tokens, random.Random(0)  # noqa: S311 (prompts)
    pool = Pool(POOL_BYTES)
    scheduler = await StallFreeScheduler.open(make, pool=pool)

    def fresh(count: int) -> list[int]:
        return [dice.randrange(5, scheduler.facts.vocabulary - 5) for _ in range(count)]

    async def first_s(prompt: Sequence[int]) -> float:
        began_s = time.perf_counter()
        async for _ in scheduler.answer(prompt, Sampling(max_tokens=1)):
            pass
        took_s = time.perf_counter() - began_s
        while scheduler.load.running:  # until its blocks are kept
            await asyncio.sleep(0.001)
        return took_s

    times = []
    try:
        await first_s(fresh(length))  # memory and threads are there then
        for _ in range(setting.rounds):
            prompt = fresh(length)
            known = [int(length * share) for share in SHARES]
            times.append(tuple([await first_s(prompt[:count] + fresh(length - count)) for count in known]))
    finally:
        await scheduler.close()
    return times, pool.size / (len(pool) * BLOCK_TOKENS)
