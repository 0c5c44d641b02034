"""Who has the signals, as the dashboard shows it: the state of pre-emption with its times on the wall clock."""

from __future__ import annotations

from edge_server.gateway.views import ClaimShown, PriorityView
from edge_server.signals.preemption.state import Claim, State


def priority_view(state: State, shift_ms: int) -> PriorityView:
    """shift_ms: the wall clock less the clock of the log of pre-emption."""
    recovery = state.recovery
    return PriorityView(
        id=state.terms.intersection,
        holder=_claim(state.holder, shift_ms) if state.holder is not None else None,
        queue=tuple(_claim(claim, shift_ms) for claim in state.queue),
        higher=dict(state.higher),
        recovering=None if recovery is None else int(recovery.owed or 0),
        cameras=tuple(sorted(state.sightings)),
    )


def _claim(claim: Claim, shift_ms: int) -> ClaimShown:
    return ClaimShown(
        vehicle=claim.vehicle,
        role=claim.role or "",
        level=claim.level,
        importance=claim.rank,
        approach=claim.approach,
        egress=claim.egress or "",
        phases=claim.phases,
        arrival_ms=claim.arrival_ms + shift_ms,
        asked_ms=claim.asked_ms + shift_ms,
        until_ms=claim.until_ms + shift_ms if claim.until_ms is not None else None,
    )
