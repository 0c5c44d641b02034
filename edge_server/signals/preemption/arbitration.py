"""Which of several claims comes first. The rule is total, so that two edge servers that heard the same agree.

1. pre-emption before priority; 2. the higher importance; 3. the earlier arrival at the stop line, in whole seconds;
4. who asked first; 5. the vehicle's name. What is held is taken away by rules 1 and 2 alone: between equals from
conflicting approaches, whoever holds keeps.
"""

from __future__ import annotations

from edge_server.signals.preemption.state import Claim, State
from protocol.preemption import Level

LEAST_LEASE_MS = 5_000
_LEVELS: tuple[Level, ...] = ("priority", "preempt")


def rank(claim: Claim) -> tuple[int, int]:
    return _LEVELS.index(claim.level), claim.rank


def order(claim: Claim) -> tuple[int, int, int, int, str]:
    """To sort by: the least comes first."""
    level, importance = rank(claim)
    return -level, -importance, claim.arrival_ms // 1000, claim.asked_ms, claim.vehicle


def next_claim(state: State, at_ms: int) -> Claim | None:
    """Who may begin now: with a holder, only who takes it from them."""
    if state.outranked or state.recovery is not None:
        return None
    ready = [claim for claim in state.queue if _ready(state, claim, at_ms)]
    first = min(ready, key=order, default=None)
    holder = state.holder
    if first is None or holder is None:
        return first
    if rank(first)[0] > rank(holder)[0]:
        return first
    takes = rank(first) > rank(holder) and state.terms.clash(first.phases, holder.phases)
    return first if takes else None


def until_ms(state: State, claim: Claim, at_ms: int) -> int:
    """The cap of a lease that begins now."""
    cap_ms = at_ms + state.terms.cap_ms[claim.level] - claim.used_ms
    if claim.level == "priority" or state.run is None:
        return cap_ms
    return min(cap_ms, state.run.since_ms + state.terms.run_ms)


def least_ms(state: State, level: Level) -> int:
    """A lease that could not last for this long is not begun."""
    return min(LEAST_LEASE_MS, state.terms.cap_ms[level])


def lasts(state: State, level: Level, used_ms: int) -> bool:
    """Whether a vehicle that has had so much may have more."""
    return state.terms.cap_ms[level] - used_ms >= least_ms(state, level)


def is_early(state: State, claim: Claim, at_ms: int) -> bool:
    """Whether it is too early to grant a claim: before the longest lead, or before the vehicle needs it."""
    lead_ms = state.terms.lead_ms[claim.level]
    if claim.ahead_ms is not None:
        lead_ms = min(lead_ms, claim.ahead_ms)
    return claim.arrival_ms - at_ms > lead_ms


def _ready(state: State, claim: Claim, at_ms: int) -> bool:
    if is_early(state, claim, at_ms):
        return False
    if at_ms < state.locked_ms.get(claim.level, 0) or (claim.level == "priority" and state.run is not None):
        return False
    return until_ms(state, claim, at_ms) - at_ms >= least_ms(state, claim.level)
