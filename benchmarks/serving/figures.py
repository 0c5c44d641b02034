"""What a number of answers comes to. Pure: it is given moments, and asks no clock."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from benchmarks.serving.answer import Answer


class Slo(Struct, frozen=True, kw_only=True):
    """The most that a first token may take, from when it was to be asked for, and a token after another, in an answer's
    mean. how: where the two come from."""

    ttft_s: float
    tbt_ms: float
    how: str


class Spread(Struct, frozen=True):
    p50: float | None
    p99: float | None
    max: float | None


class Told(Struct, frozen=True, kw_only=True):
    """failures: by kind. ttft_s: from the moment the trace wanted it sent. tbt_ms: from each piece of text to the next,
    of all answers together. late_ms: how much later than wanted we sent. goodput_per_s: answers a second that were
    whole and kept the SLO; goodput_every_gap_per_s: in which every gap kept it. tokens_per_s: of answers. prompt_off:
    answers whose prompt the server counted otherwise than wanted; prompt_off_most: by so many tokens at most.
    said_share: tokens of whole answers against those that were asked for."""

    requests: int
    failed: int
    failures: dict[str, int]
    ttft_s: Spread
    tbt_ms: Spread
    late_ms: Spread
    goodput_per_s: float | None
    goodput_every_gap_per_s: float | None
    tokens_per_s: float
    prompt_off: int
    prompt_off_most: int
    said_share: float | None
    seconds: float


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of the others does not pass; None of nothing."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


def spread(values: Sequence[float], factor: float = 1.0, digits: int = 3) -> Spread:
    ordered = sorted(values)
    found = (quantile(ordered, 0.5), quantile(ordered, 0.99), ordered[-1] if ordered else None)
    return Spread(*(None if one is None else round(one * factor, digits) for one in found))


def keeps(answer: Answer, slo: Slo, *, every_gap: bool = False) -> bool:
    if answer.failure or answer.left or answer.ttft_s is None or answer.ttft_s > slo.ttft_s:
        return False
    gap_s = max(answer.gaps_s, default=0.0) if every_gap else answer.mean_gap_s
    return gap_s * 1e3 <= slo.tbt_ms


def told(answers: Sequence[Answer], slo: Slo | None) -> Told:
    """Those that we left ourselves count as requests, not as failures. seconds: from when the first was to be sent to
    the end of the last."""
    began_s = min((one.intended_s for one in answers), default=0.0)
    seconds = max((one.ended_s for one in answers), default=0.0) - began_s
    failures = Counter(one.failure for one in answers if one.failure)
    good = [one for one in answers if not one.failure and not one.left]
    off = [one.prompt_tokens - one.wanted_prompt for one in good if one.prompt_tokens is not None]
    wanted = sum(one.wanted_tokens for one in good)

    def per_s(amount: float) -> float:
        return round(amount / seconds, 4) if seconds > 0 else 0.0

    return Told(
        requests=len(answers),
        failed=sum(failures.values()),
        failures=dict(sorted(failures.items())),
        ttft_s=spread([one.ttft_s for one in answers if one.ttft_s is not None], digits=4),
        tbt_ms=spread([gap for one in answers for gap in one.gaps_s], 1e3),
        late_ms=spread([one.sent_s - one.intended_s for one in answers], 1e3),
        goodput_per_s=None if slo is None else per_s(sum(keeps(one, slo) for one in answers)),
        goodput_every_gap_per_s=None if slo is None else per_s(sum(keeps(one, slo, every_gap=True) for one in answers)),
        tokens_per_s=per_s(sum(one.tokens for one in answers)),
        prompt_off=sum(one != 0 for one in off),
        prompt_off_most=max((abs(one) for one in off), default=0),
        said_share=round(sum(one.tokens for one in good) / wanted, 4) if wanted else None,
        seconds=round(seconds, 3),
    )
