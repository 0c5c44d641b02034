"""What a scheduler counts while it works: pure sums that only grow, for whoever draws them (metrics.py)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

FIRST_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
BETWEEN_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)


@dataclass
class Histogram:
    """bounds: the highest value of each bin but the last, which has none. counts: of each bin, not cumulated."""

    bounds: Sequence[float]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def with_more(self, other: Histogram) -> Histogram:
        return Histogram(
            self.bounds, [a + b for a, b in zip(self.counts, other.counts, strict=True)], self.total + other.total
        )


@dataclass
class Tally:
    """waited_s: for a sequence. first_s: from asking to the first token. between_s: two tokens of one answer. rows: of
    a step, and budget_rows: that it might have had. prefix_tokens: of prompts that were looked for in the prefix cache,
    and of these prefix_hit_tokens were there. held_tokens: that all sequences hold now; room_tokens: that they could.
    preempted: sequences that had to wait for others in the middle of an answer. prefill_fetched: prompts that a worker
    elsewhere computed, prefill_tokens of them, in prefill_bytes; prefill_failed: that it began and did not end."""

    waited_s: Histogram = field(default_factory=lambda: Histogram(FIRST_S))
    first_s: Histogram = field(default_factory=lambda: Histogram(FIRST_S))
    between_s: Histogram = field(default_factory=lambda: Histogram(BETWEEN_S))
    rows: Histogram = field(default_factory=lambda: Histogram(ROWS))
    budget_rows: Histogram = field(default_factory=lambda: Histogram(ROWS))
    prefix_tokens: int = 0
    prefix_hit_tokens: int = 0
    preempted: int = 0
    prefill_fetched: int = 0
    prefill_tokens: int = 0
    prefill_bytes: int = 0
    prefill_failed: int = 0
    held_tokens: int = 0
    room_tokens: int = 0

    def with_more(self, other: Tally) -> Tally:
        return Tally(
            self.waited_s.with_more(other.waited_s),
            self.first_s.with_more(other.first_s),
            self.between_s.with_more(other.between_s),
            self.rows.with_more(other.rows),
            self.budget_rows.with_more(other.budget_rows),
            self.prefix_tokens + other.prefix_tokens,
            self.prefix_hit_tokens + other.prefix_hit_tokens,
            self.preempted + other.preempted,
            self.prefill_fetched + other.prefill_fetched,
            self.prefill_tokens + other.prefill_tokens,
            self.prefill_bytes + other.prefill_bytes,
            self.prefill_failed + other.prefill_failed,
            self.held_tokens + other.held_tokens,
            self.room_tokens + other.room_tokens,
        )


def together(tallies: Iterable[Tally]) -> Tally:
    """Of several schedulers."""
    whole = Tally()
    for one in tallies:
        whole = whole.with_more(one)
    return whole
