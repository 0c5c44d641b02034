"""How much each tenant was given: a virtual token counter (Sheng and others 2024, arXiv 2401.00588, algorithm 2)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

# A token that is said costs about as much as so many of a prompt (the note's pilot: 18 ms alone to 6 ms).
SAID_WEIGHT = 3.0


def arrived(given: Mapping[str, float], tenant: str, active: Collection[str]) -> dict[str, float]:
    """Who comes back after a pause has saved nothing up: it begins with the least of those that are active."""
    least = min((given.get(one, 0.0) for one in active), default=0.0)
    return {**given, tenant: max(given.get(tenant, 0.0), least)}


def served(given: Mapping[str, float], tenant: str, rows: int, *, speaks: bool) -> dict[str, float]:
    return {**given, tenant: given.get(tenant, 0.0) + rows * (SAID_WEIGHT if speaks else 1.0)}
