"""`kinflow bench kv`: what it gains to bring keys and values from elsewhere instead of computing them again. A case is
a file of its own, kv_CASE.py."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


class Case(StrEnum):
    handoff = "handoff"
    pool = "pool"


def kv(  # noqa: PLR0917 (its options)
    case: Annotated[
        Case, typer.Option(help="handoff: from a prefill worker; pool: from the prefix cache.")
    ] = Case.handoff,
    family: Annotated[str, typer.Option(help="A family; else a file of the engine benchmark's shape.")] = "",
    tokens: Annotated[int, typer.Option(min=1, max=100_000, help="Compared one by one behind prompts.")] = 10_000,
    prompt_tokens: Annotated[int, typer.Option(min=2, max=16_384, help="Whose first token is waited for.")] = 768,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Of the one who answers.")] = 1,
    worker_threads: Annotated[int, typer.Option(min=0, max=256, help="Of the worker; 0: what is left.")] = 0,
    speakers: Annotated[int, typer.Option(min=0, max=63, help="Answers under way while the prompt comes.")] = 8,
    mbit: Annotated[
        list[float] | None, typer.Option(min=0.01, help="Of the link; again for more. Else around the break-even.")
    ] = None,
    rtt_ms: Annotated[float, typer.Option(min=0.0, max=5_000.0, help="Round trip of the link.")] = 2.0,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Each way, at each bandwidth.")] = 2,
    trace: Annotated[Path | None, typer.Option(help="pool: in Mooncake's form; else one is made.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="pool: so many requests of it; 0 for all.")] = 0,
    blocks: Annotated[int, typer.Option(min=1, help="pool: the cache's size that is told of on top.")] = 5_000,
    as_json: AsJson = False,
) -> None:
    """Keys and values that move, against computing them again: exactness, bytes, the bandwidth from which it pays."""
    from benchmarks.cli import show, told  # noqa: PLC0415

    if case is Case.pool:
        from benchmarks import kv_pool  # noqa: PLC0415

        with told():
            pool = kv_pool.Setting(trace, limit, blocks, family, prompt_tokens, threads, rounds)
            show(kv_pool.measure(pool), as_json)
        return
    from benchmarks.kv_handoff import Setting, measure  # noqa: PLC0415

    setting = Setting(
        family, tokens, prompt_tokens, threads, worker_threads, speakers, tuple(mbit or ()), rtt_ms, rounds
    )
    with told():
        show(measure(setting), as_json)
