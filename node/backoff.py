"""How long to wait before the next attempt."""

from __future__ import annotations

from random import Random


def backoff_s(attempt: int, random: Random, first_s: float = 0.2, longest_s: float = 30.0) -> float:
    """Seconds before attempt number `attempt` (1 is the first repetition): doubling, with half of it as jitter, so that
    a fleet that lost its broker together doesn't come back together."""
    ceiling = min(longest_s, first_s * 2.0 ** min(attempt - 1, 30))
    return ceiling * (0.5 + 0.5 * random.random())
