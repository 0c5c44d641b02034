"""A trace, sent as it was: each request at its own moment, whether or not those before it were answered.

Open-loop, so that a slow server meets the load that it would meet, and safe against coordinated omission: what an
answer took counts from when the trace wanted it asked for, not from when we came to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.serving.answer import Answer, Asking
from benchmarks.serving.target import Target
from benchmarks.serving.traces.trace import Row, Trace

LEAD_S = 0.2


@dataclass(frozen=True)
class Plan:
    """time_scale: seconds here for a second of the trace. patience_s: of one answer; then it has failed. seed: of the
    prompts."""

    time_scale: float = 1.0
    patience_s: float = 600.0
    seed: int = 0


def sendable(trace: Trace, most_tokens: int | None = None) -> tuple[list[Row], dict[str, int]]:
    """The rows that can be asked for, and how many can't, by why. most_tokens: of prompt and answer together."""
    kept: list[Row] = []
    left = {"failed at the time": 0, "longer than --most-tokens": 0}
    for row in trace.rows:
        if not row.output_tokens or not row.input_tokens:
            left["failed at the time"] += 1
        elif most_tokens is not None and row.input_tokens + row.output_tokens > most_tokens:
            left["longer than --most-tokens"] += 1
        else:
            kept.append(row)
    return kept, {why: count for why, count in left.items() if count}


async def replay(
    target: Target, rows: Sequence[Row], block_tokens: int, plan: Plan, say: Callable[[int], None] = lambda _: None
) -> list[Answer]:
    """say: told of each request that was sent, by its number."""
    loop = asyncio.get_running_loop()
    began_s = loop.time() + LEAD_S - (rows[0].time_s * plan.time_scale if rows else 0.0)
    under_way: list[asyncio.Task[Answer]] = []
    for number, row in enumerate(rows):
        # Made before its moment, not at it.
        request = target.request(row, f"{plan.seed}-{number}", block_tokens)
        intended_s = began_s + row.time_s * plan.time_scale
        if (wait_s := intended_s - loop.time()) > 0:
            await asyncio.sleep(wait_s)
        asking = Asking(intended_s, row.input_tokens, row.output_tokens)
        under_way.append(asyncio.create_task(asking.of(target.server, request, plan.patience_s)))
        say(number)
    return list(await asyncio.gather(*under_way))
