"""What one server came to in one case: rows of several rounds become one, and two rows a ratio."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from msgspec import Struct

from benchmarks.serving.figures import Spread, Told


class Row(Struct, frozen=True, kw_only=True):
    """prompt_tokens: of the long prompt; 0 where there is none. load_per_s: requests a second that were sent, 0 where
    there is no such load. time_scale: seconds here for a second of the trace. ttft_s: in case long-prompt of the long
    prompt, tbt_ms then of those who speak, from when it was sent on. tokens_per_s: of answers; in case long-prompt of
    prompts and answers, over the whole of the same work. why: there are no figures, "" where there are. rounds: each
    figure is the median of so many."""

    server: str
    setting: str
    ttft_s: Spread | None = None
    tbt_ms: Spread | None = None
    tokens_per_s: float | None = None
    goodput_per_s: float | None = None
    goodput_every_gap_per_s: float | None = None
    prompt_tokens: int = 0
    load_per_s: float = 0.0
    time_scale: float = 0.0
    requests: int = 0
    failed: int = 0
    said_share: float | None = None
    rounds: int = 1
    why: str = ""


def row_of(server: str, setting: str, told: Told, load_per_s: float, time_scale: float) -> Row:
    return Row(
        server=server,
        setting=setting,
        ttft_s=told.ttft_s,
        tbt_ms=told.tbt_ms,
        tokens_per_s=told.tokens_per_s,
        goodput_per_s=told.goodput_per_s,
        goodput_every_gap_per_s=told.goodput_every_gap_per_s,
        load_per_s=load_per_s,
        time_scale=time_scale,
        requests=told.requests,
        failed=told.failed,
        said_share=told.said_share,
    )


def median_of(rows: Sequence[Row]) -> Row:
    """Of one server, setting and load. Failures are added up."""
    good = [one for one in rows if not one.why]
    if not good:
        return rows[0]

    def middle(values: Sequence[float | None]) -> float | None:
        known = [one for one in values if one is not None]
        return round(statistics.median(known), 4) if known else None

    def spread(name: str) -> Spread:
        found = [getattr(one, name) for one in good]
        return Spread(
            *(middle([getattr(one, part) for one in found if one is not None]) for part in ("p50", "p99", "max"))
        )

    first = good[0]
    return Row(
        server=first.server,
        setting=first.setting,
        ttft_s=spread("ttft_s"),
        tbt_ms=spread("tbt_ms"),
        tokens_per_s=middle([one.tokens_per_s for one in good]),
        goodput_per_s=middle([one.goodput_per_s for one in good]),
        goodput_every_gap_per_s=middle([one.goodput_every_gap_per_s for one in good]),
        prompt_tokens=first.prompt_tokens,
        load_per_s=first.load_per_s,
        time_scale=first.time_scale,
        requests=sum(one.requests for one in good),
        failed=sum(one.failed for one in good),
        said_share=middle([one.said_share for one in good]),
        rounds=len(good),
    )


def ratio(ours: float | None, theirs: float | None) -> float | None:
    return round(ours / theirs, 4) if ours is not None and theirs else None
