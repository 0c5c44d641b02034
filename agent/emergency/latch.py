"""k of the last n looks must agree, and what was agreed on stays for a while."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Rule:
    """k of n looks set it; it falls hold_ms after the last look that was for it. longest_ms: then it falls whatever is
    seen, until n looks in a row were against it: a lamp that never stops is no vehicle."""

    k: int
    n: int
    hold_ms: int
    longest_ms: int


@dataclass(frozen=True)
class Latch:
    """votes: of the last looks, the newest in the lowest bit."""

    votes: int = 0
    since_ms: int | None = None
    last_ms: int = 0
    spent: bool = False

    @property
    def on(self) -> bool:
        return self.since_ms is not None


OFF = Latch()


def step(latch: Latch, rule: Rule, vote: bool, mono_ms: int) -> Latch:
    votes = ((latch.votes << 1) | vote) & ((1 << rule.n) - 1)
    latch = replace(latch, votes=votes, spent=latch.spent and votes != 0)
    agreed = votes.bit_count() >= rule.k
    if latch.since_ms is not None and mono_ms - latch.since_ms >= rule.longest_ms:
        return replace(latch, since_ms=None, spent=True)
    if vote and (agreed or latch.on) and not latch.spent:
        return replace(latch, since_ms=mono_ms if latch.since_ms is None else latch.since_ms, last_ms=mono_ms)
    if latch.on and mono_ms - latch.last_ms >= rule.hold_ms:
        return replace(latch, since_ms=None)
    return latch
