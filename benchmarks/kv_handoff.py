"""A prompt that one process computes, and another goes on with: the same to the bit, and from which bandwidth it pays.

The worker is a process of its own (`kinflow serving prefill`). Between it and this one lies a link on loopback that
holds to a bandwidth and a round trip. Both share this machine's processors: with one thread each they stand for two
machines of one processor.
"""

from __future__ import annotations

import asyncio
import os
import statistics
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import Struct

from benchmarks.kv_exact import Compared, compare, prompts_of
from benchmarks.kv_first_token import First, Told, connected, first_token
from benchmarks.kv_worker import Place, placed, slowed, worker
from models.engine.port import Engine, Facts
from models.serving.prefix.pool import Pool
from models.serving.separation.cost import PIECE_ROWS, Worker, break_even_byte_s, fetch_s, pieces
from models.serving.separation.fetcher import Fetcher

SEQUENCES, LEAST_EACH = 16, 64
# Two pieces, and the last token.
EXACT_PROMPT = 513
# Of the break-even, where no bandwidths are given.
AROUND = (0.5, 1.25, 4.0)
ANSWER_ROOM = 512
LONG_S = 600.0


@dataclass(frozen=True)
class Setting:
    """family: "" for a file of the engine benchmark's shape. tokens: compared, all sequences together. threads: here;
    worker_threads: there, 0 for what is left. speakers: answers under way here while the prompt comes. mbit: bandwidths
    to try; none: some around the break-even. rounds: of each."""

    family: str = ""
    tokens: int = 10_000
    prompt_tokens: int = 1024
    threads: int = 1
    worker_threads: int = 0
    speakers: int = 8
    mbit: tuple[float, ...] = ()
    rtt_ms: float = 2.0
    rounds: int = 2


class Row(Struct, frozen=True, kw_only=True):
    """ttft_s: brought over a link of that bandwidth, median. recompute_ttft_s: computed here, in turns with it. ratio:
    of the two. fetches: what the scheduler itself would have chosen, share of the rounds. gap_ms: the longest between
    two tokens of those who spoke meanwhile, and recompute_gap_ms when it was computed here."""

    mbit: float
    ttft_s: float
    recompute_ttft_s: float
    ratio: float
    fetches: float
    gap_ms: float
    recompute_gap_ms: float


class Figures(Struct, frozen=True, kw_only=True):
    """max_logit_diff, tokens_identical: contexts that came from the worker against the same pieces computed here.
    break_even_mbit_s: from which bandwidth the first token is no later than when it is computed here; from ttft_s,
    brought over an unslowed link, recompute_ttft_s, computed here, and the worker's measured steps; None where the
    worker is too slow for any. stream_mbit_s: from which the link keeps up with the worker. worst_ratio_above: of the
    rows above the break-even."""

    max_logit_diff: float
    tokens_identical: int
    tokens: int
    bytes_per_token: float
    break_even_mbit_s: float | None
    stream_mbit_s: float
    worst_ratio_above: float | None
    ttft_s: float
    recompute_ttft_s: float
    worker_tokens_per_s: float
    rows: tuple[Row, ...]
    model: str
    prompt_tokens: int
    speakers: int
    threads: int
    worker_threads: int
    rtt_ms: float


def measure(setting: Setting) -> Figures:
    """Raises what opening weights does, and RuntimeError where the model can't be made or the worker doesn't start."""
    there = setting.worker_threads or max(1, (os.cpu_count() or 2) - setting.threads)
    setting = replace(setting, worker_threads=there)
    with placed(setting.family, setting.prompt_tokens + ANSWER_ROOM) as place, worker(place, there) as (port, secret):
        exact, model = _exact(place, setting, port, secret)
        return asyncio.run(_timed(place, setting, (port, secret), exact, model))


def _exact(place: Place, setting: Setting, port: int, secret: Path) -> tuple[Compared, str]:
    sequences = max(1, min(SEQUENCES, setting.tokens // LEAST_EACH))
    prompt_tokens = min(EXACT_PROMPT, setting.prompt_tokens)
    room = replace(place, context_tokens=prompt_tokens + -(-setting.tokens // sequences))
    holding = room.holding(setting.threads, sequences)
    here, there = holding.engine(), holding.engine()

    def bring(engine: Engine, sequence: int, prompt: Sequence[int]) -> None:
        asyncio.run(_brought(engine, sequence, prompt, port, secret))

    try:
        prompts = prompts_of(here.facts.vocabulary, sequences, prompt_tokens)
        return compare(here, there, prompts, bring, rows=PIECE_ROWS, tokens=setting.tokens), holding.name
    finally:
        here.close()
        there.close()
        holding.close()


async def _brought(engine: Engine, sequence: int, prompt: Sequence[int], port: int, secret: Path) -> None:
    fetcher = Fetcher(f"127.0.0.1:{port}", secret, engine.facts)
    fetcher.start()
    try:
        while fetcher.worker is None:
            await asyncio.sleep(0.01)
        deadline_s = asyncio.get_running_loop().time() + LONG_S
        async with aclosing(fetcher.fetch(prompt, 0, 0.0, deadline_s)) as portions:  # type: ignore[type-var]
            async for portion in portions:
                engine.adopt(sequence, portion)
    finally:
        await fetcher.close()


async def _timed(place: Place, setting: Setting, way: tuple[int, Path], exact: Compared, model: str) -> Figures:
    holding = place.holding(setting.threads, setting.speakers + 1)
    try:
        fast = await _at(holding.engine, setting, way, 0.0)
        known, tokens = fast.worker, setting.prompt_tokens - 1
        here_s = statistics.median(one.ttft_s for one in fast.computed)
        fast_s = statistics.median(one.ttft_s for one in fast.fetched)
        # What a hand-over takes besides what is reckoned, it takes at every bandwidth.
        besides_s = fast_s - fetch_s(replace(known, link=replace(known.link, byte_s=0.0)), tokens)
        byte_s = break_even_byte_s(known, tokens, here_s - besides_s)
        even = None if not byte_s else 8e-6 / byte_s
        around = tuple(round(even * one, 3) for one in AROUND) if even else ()
        measured = [(mbit, await _at(holding.engine, setting, way, mbit)) for mbit in setting.mbit or around]
    finally:
        holding.close()
    rows = tuple(_row(mbit, one) for mbit, one in measured)
    computed_s = sum(known.speed.seconds(end - begin, begin) for begin, end in pieces(tokens))
    above = [row.ratio for row in rows if even is not None and row.mbit >= even]
    return Figures(
        max_logit_diff=exact.max_logit_diff,
        tokens_identical=exact.same,
        tokens=exact.tokens,
        bytes_per_token=round(known.bytes_per_token, 1),
        break_even_mbit_s=None if even is None else round(even, 3),
        stream_mbit_s=round(known.bytes_per_token * 8e-6 * tokens / computed_s, 3),
        worst_ratio_above=max(above, default=None),
        ttft_s=round(fast_s, 4),
        recompute_ttft_s=round(here_s, 4),
        worker_tokens_per_s=round(tokens / computed_s, 2),
        rows=rows,
        model=model,
        prompt_tokens=setting.prompt_tokens,
        speakers=setting.speakers,
        threads=setting.threads,
        worker_threads=setting.worker_threads,
        rtt_ms=setting.rtt_ms,
    )


@dataclass(frozen=True)
class _Found:
    """fetched, computed: in turns. chosen: how often it would have been brought. worker: as measured at the end."""

    fetched: list[First]
    computed: list[First]
    chosen: float
    worker: Worker


async def _at(make: Callable[[], Engine], setting: Setting, way: tuple[int, Path], mbit: float) -> _Found:
    port, secret = way
    with slowed(port, mbit, setting.rtt_ms) as slow:
        scheduler = await Told.open_with(make, f"127.0.0.1:{slow}", secret, Pool(0))  # nothing known before
        assert isinstance(scheduler, Told)
        try:
            await connected(scheduler)
            facts: Facts = scheduler.facts
            found: dict[bool, list[First]] = {True: [], False: []}
            chosen = []
            # No prompt twice: what is known of one would not be asked for again.
            prompts = iter(prompts_of(facts.vocabulary, 2 * setting.rounds, setting.prompt_tokens))
            for number in range(setting.rounds):
                for fetch in (False, True) if number % 2 else (True, False):
                    await connected(scheduler)
                    prompt = next(prompts)
                    found[fetch].append(await first_token(scheduler, prompt, setting.speakers, fetch=fetch))
                    chosen.append(scheduler.last is not None and scheduler.last.fetch)
            if scheduler.tally.prefill_failed or scheduler.fetcher is None or scheduler.fetcher.worker is None:
                raise RuntimeError("the worker went away while it was measured")
            return _Found(found[True], found[False], sum(chosen) / len(chosen), scheduler.fetcher.worker)
        finally:
            await scheduler.close()


def _row(mbit: float, found: _Found) -> Row:
    fetched = statistics.median(one.ttft_s for one in found.fetched)
    computed = statistics.median(one.ttft_s for one in found.computed)
    return Row(
        mbit=mbit,
        ttft_s=round(fetched, 4),
        recompute_ttft_s=round(computed, 4),
        ratio=round(fetched / computed, 4),
        fetches=round(found.chosen, 3),
        gap_ms=round(1000 * max(one.gap_s for one in found.fetched), 1),
        recompute_gap_ms=round(1000 * max(one.gap_s for one in found.computed), 1),
    )
