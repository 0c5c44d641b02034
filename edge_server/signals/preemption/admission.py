"""Whether what a vehicle sends is taken: the first written rule that it breaks names the refusal."""

from __future__ import annotations

from msgspec.structs import replace

from edge_server.signals.preemption.arbitration import lasts
from edge_server.signals.preemption.events import Cancel, Refusal, Request, Signed
from edge_server.signals.preemption.state import Last, State

HOUR_MS = 3_600_000


def untrue(state: State, event: Signed) -> Refusal | None:
    """Why a message is not to be believed: nothing of it may be remembered."""
    if event.proof != "verified":
        return event.proof
    if abs(event.off_ms) > state.terms.skew_ms:
        return "expired" if event.off_ms < 0 else "clock-ahead"
    last = state.last.get(event.vehicle)
    if last is not None and event.sequence <= last.sequence and not is_repeated(state, event):
        return "replayed"
    return None


def is_repeated(state: State, event: Signed) -> bool:
    """The very message that came last, once more: a network does that, and it changes nothing."""
    last = state.last.get(event.vehicle)
    return last is not None and (event.sequence, _mark(event)) == (last.sequence, last.mark)


def remember(state: State, event: Signed) -> State:
    """A message that is believed can't be used again."""
    return replace(state, last={**state.last, event.vehicle: Last(event.sequence, _mark(event), event.at_ms)})


def unallowed(state: State, event: Request) -> Refusal | None:
    """Why a believable request breaks a rule that holds for renewals too."""
    terms = state.terms
    if event.role not in terms.roles or not event.own_role:
        return "role-not-allowed"
    if not event.on_shift:
        return "off-shift"
    if not terms.phases(event.approach, event.egress):
        return "no-such-route"
    if not event.linked:
        return "route-gap"
    if terms.evidence and not set(terms.evidence) & set(event.evidence):
        return "no-evidence"
    return None


def untimely(state: State, event: Request) -> Refusal | None:
    """Why a vehicle that holds and waits for nothing may not begin now."""
    spent = state.spent.get(event.vehicle)
    level, _ = state.terms.roles[event.role]
    if spent is not None and (spent.locked or not lasts(state, level, spent.used_ms)):
        return "locked-out"
    if len(_within_hour(state, event)) >= state.terms.requests_per_hour:
        return "too-often"
    return None


def count(state: State, event: Request) -> State:
    """One more new request of this vehicle."""
    return replace(state, asked={**state.asked, event.vehicle: (*_within_hour(state, event), event.at_ms)})


def _within_hour(state: State, event: Request) -> tuple[int, ...]:
    return tuple(at_ms for at_ms in state.asked.get(event.vehicle, ()) if event.at_ms - at_ms < HOUR_MS)


def _mark(event: Signed) -> str:
    if event.mark:
        return event.mark
    parts: list[object] = ["cancel", event.request] if isinstance(event, Cancel) else [event.request]
    if isinstance(event, Request):
        parts += [event.role, event.approach, event.egress, event.arrives_in_ms, event.importance, *event.evidence]
    return "/".join(map(str, parts))
