"""Pre-emption as a pure machine, one for each intersection: (state, event) -> (state, effects).

A claim waits, is granted, and is held only while it is renewed and never beyond its cap. When the last of a run of
leases ends, the others' turn comes: a lock-out, and a recovery that serves the phase that has waited longest first.
What outranks us ends whatever we hold. Whatever this wants still passes the safety check.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from msgspec.structs import replace

from edge_server.signals.preemption.admission import count, is_repeated, remember, unallowed, untimely, untrue
from edge_server.signals.preemption.arbitration import is_early, lasts, next_claim, order, until_ms
from edge_server.signals.preemption.events import (
    Answer,
    Cancel,
    Effect,
    Ended,
    Ending,
    Granted,
    HandEnded,
    Happening,
    Higher,
    Observed,
    Recovering,
    Refusal,
    Refused,
    Request,
    Signed,
    Tick,
)
from edge_server.signals.preemption.state import CAMERA, Claim, Recovery, Run, Sighting, Spent, State
from protocol.messages.priority_status import PriorityAnswer

K = TypeVar("K")
V = TypeVar("V")

# A camera says the same several times a second; it renews at most this often.
CAMERA_RENEW_MS = 1_000

Step = tuple[State, tuple[Effect, ...]]


def step(state: State, event: Happening) -> Step:
    """The same state and no effects when the event changes nothing."""
    effects: tuple[Effect, ...] = ()
    for part in (_expire, _take, _recover, _begin, _turn):
        state, more = part(state, event)
        effects += more
    if isinstance(event, Signed) and event.proof == "verified" and not _answers(effects, event.vehicle):
        effects += (answer(state, event.vehicle, event.request, event.at_ms),)
    return state, effects


def answer(state: State, vehicle: str, request: int, at_ms: int, reason: str = "") -> Answer:
    """How it stands with a vehicle's request now."""
    claim = state.claim_of(vehicle)
    return Answer(vehicle, claim.request if claim is not None else request, _status(state, claim, at_ms), reason)


def _status(state: State, claim: Claim | None, at_ms: int) -> PriorityAnswer:
    if claim is None:
        return "unknown"
    if claim is state.holder:
        return "granted"
    if state.outranked:
        return "watchOtherTraffic"
    if is_early(state, claim, at_ms):
        return "requested"
    if state.recovery is not None or at_ms < state.locked_ms.get(claim.level, 0):
        return "reserviceLocked"
    clashes = state.holder is not None and state.terms.clash(claim.phases, state.holder.phases)
    return "watchOtherTraffic" if clashes else "processing"


def _answers(effects: tuple[Effect, ...], vehicle: str) -> bool:
    return any(isinstance(one, Answer) and one.vehicle == vehicle for one in effects)


def _take(state: State, event: Happening) -> Step:
    match event:
        case Request():
            return _ask(state, event)
        case Cancel():
            return _cancel(state, event)
        case Observed():
            return _observe(state, event)
        case Higher():
            return _outrank(state, event)
        case HandEnded():
            return _withdraw(state, event.vehicle, event.at_ms, "by-hand")
        case Tick():
            return state, ()


# What a vehicle sends


def _refuse(state: State, event: Signed, refusal: Refusal) -> Step:
    effects: tuple[Effect, ...] = (Refused(event.vehicle, event.request, refusal),)
    if event.proof != "verified":
        return state, effects  # whoever it was, the vehicle of that name did not ask
    if state.claim_of(event.vehicle) is not None:
        return state, (*effects, answer(state, event.vehicle, event.request, event.at_ms, refusal))
    status: PriorityAnswer = "reserviceLocked" if refusal == "locked-out" else "rejected"
    spent = state.spent.get(event.vehicle)
    if refusal == "locked-out" and spent is not None and spent.used_ms >= max(state.terms.cap_ms.values()):
        status = "maxPresence"
    return state, (*effects, Answer(event.vehicle, event.request, status, refusal))


def _ask(state: State, event: Request) -> Step:
    refusal = untrue(state, event)
    if refusal is not None:
        return _refuse(state, event, refusal)
    if is_repeated(state, event):
        return state, ()
    state = remember(state, event)
    refusal = unallowed(state, event)
    if refusal is not None:
        return _refuse(state, event, refusal)
    claim = state.claim_of(event.vehicle)
    phases = state.terms.phases(event.approach, event.egress)
    if claim is not None and (claim.approach, claim.phases) == (event.approach, phases):
        return _renew(state, claim, event)
    effects: tuple[Effect, ...] = ()
    if claim is not None:  # another way than before
        state, effects = _withdraw(state, event.vehicle, event.at_ms, "rerouted")
    refusal = untimely(state, event)
    if refusal is not None:
        state, refused = _refuse(state, event, refusal)
        return state, (*effects, *refused)
    state, queued = _enqueue(count(state, event), _claim(state, event))
    return state, (*effects, *queued)


def _claim(state: State, event: Request) -> Claim:
    level, highest = state.terms.roles[event.role]
    spent = state.spent.get(event.vehicle)
    return Claim(
        vehicle=event.vehicle,
        request=event.request,
        role=event.role,
        level=level,
        rank=min(event.importance, highest),
        approach=event.approach,
        egress=event.egress,
        phases=state.terms.phases(event.approach, event.egress),
        arrival_ms=event.at_ms + max(0, event.arrives_in_ms),
        asked_ms=event.at_ms,
        renewed_ms=event.at_ms,
        used_ms=spent.used_ms if spent is not None else 0,
        ahead_ms=event.ahead_ms,
    )


def _renew(state: State, claim: Claim, event: Request) -> Step:
    """A vehicle that says that it comes much later than it was granted for gives back what it holds, and waits."""
    fresh = _claim(state, event)
    renewed = replace(
        claim,
        request=fresh.request,
        rank=fresh.rank,
        egress=fresh.egress,
        arrival_ms=fresh.arrival_ms,
        ahead_ms=fresh.ahead_ms,
        renewed_ms=event.at_ms,
    )
    state = _put(state, claim, renewed)
    late_ms = state.terms.lead_ms[claim.level] + state.terms.renew_ms
    if state.holder is renewed and renewed.arrival_ms - event.at_ms > late_ms:
        return _release(state, event.at_ms, "delayed")
    return state, ()


def _put(state: State, claim: Claim, renewed: Claim) -> State:
    if claim is state.holder:
        return replace(state, holder=renewed)
    return replace(state, queue=_sorted(*(renewed if one is claim else one for one in state.queue)))


def _enqueue(state: State, claim: Claim) -> Step:
    """In the order of arbitration; the last of too many is refused, whoever came last."""
    queue = _sorted(*state.queue, claim)
    if len(queue) <= state.terms.queue:
        return replace(state, queue=queue), ()
    state = replace(state, queue=queue[:-1])
    last = queue[-1]
    return state, (
        Refused(last.vehicle, last.request, "queue-full"),
        Answer(last.vehicle, last.request, "rejected", "queue-full"),
    )


def _sorted(*claims: Claim) -> tuple[Claim, ...]:
    return tuple(sorted(claims, key=order))


def _cancel(state: State, event: Cancel) -> Step:
    refusal = untrue(state, event)
    if refusal is not None:
        return _refuse(state, event, refusal)
    if is_repeated(state, event):
        return state, ()
    return _withdraw(remember(state, event), event.vehicle, event.at_ms, "passed" if event.passed else "rerouted")


# What cameras see, what outranks us, what people do


def _observe(state: State, event: Observed) -> Step:
    phases = state.terms.phases(event.approach, None)
    if not phases:
        return state, ()
    if state.terms.camera_preempts:
        return _observe_claim(state, event)
    sighting = state.sightings.get(event.approach)
    if not event.asks:
        return replace(state, sightings=_without(state.sightings, event.approach)), ()
    if sighting is not None and event.at_ms - sighting.seen_ms < CAMERA_RENEW_MS:
        return state, ()
    since_ms = sighting.since_ms if sighting is not None else event.at_ms
    seen = Sighting(phases, since_ms, event.at_ms)
    return replace(state, sightings={**state.sightings, event.approach: seen}), ()


def _observe_claim(state: State, event: Observed) -> Step:
    name = f"{CAMERA}{event.approach}"
    claim = state.claim_of(name)
    if not event.asks:
        return _withdraw(state, name, event.at_ms, "out-of-sight")
    if claim is not None:
        if event.at_ms - claim.renewed_ms < CAMERA_RENEW_MS:
            return state, ()
        return _put(state, claim, replace(claim, renewed_ms=event.at_ms)), ()
    spent = state.spent.get(name)
    if spent is not None and spent.locked and event.at_ms < spent.until_ms:
        return state, ()
    fresh = Claim(
        vehicle=name,
        request=0,
        role=None,
        level="preempt",
        rank=0,
        approach=event.approach,
        egress=None,
        phases=state.terms.phases(event.approach, None),
        arrival_ms=event.at_ms,
        asked_ms=event.at_ms,
        renewed_ms=event.at_ms,
        used_ms=spent.used_ms if spent is not None else 0,
    )
    return _enqueue(state, fresh)


def _outrank(state: State, event: Higher) -> Step:
    if not event.active:
        return replace(state, higher=_without(state.higher, event.source)), ()
    # The run of leases goes on meanwhile: what has the signals for a moment must not make it begin anew.
    state = replace(state, higher={**state.higher, event.source: event.kind})
    return _release(state, event.at_ms, "outranked")


def _withdraw(state: State, vehicle: str, at_ms: int, ending: Ending) -> Step:
    """End what a vehicle holds, or waits for."""
    if state.holder is not None and state.holder.vehicle == vehicle:
        return _release(state, at_ms, ending)
    claim = state.claim_of(vehicle)
    if claim is None:
        return state, ()
    state = replace(state, queue=tuple(one for one in state.queue if one is not claim))
    if claim.used_ms or ending == "by-hand":
        state = _spend(state, claim, claim.used_ms, at_ms, locked=ending == "by-hand")
    return state, _told(state, claim, at_ms, ending)


# Time


def _expire(state: State, event: Happening) -> Step:
    """What is not renewed lapses, and caps are reached."""
    at_ms, terms = event.at_ms, state.terms
    effects: tuple[Effect, ...] = ()
    for claim in state.queue:
        if at_ms - claim.renewed_ms >= terms.renew_ms:
            state, ended = _withdraw(state, claim.vehicle, at_ms, "lapsed")
            effects += ended
    holder = state.holder
    if holder is not None and not holds(state, at_ms):
        ending: Ending = "lapsed" if at_ms - holder.renewed_ms >= terms.renew_ms else "cap"
        state, ended = _release(state, at_ms, ending)
        effects += ended
    return _forget(state, at_ms), effects


def holds(state: State, at_ms: int) -> bool:
    """Whether there is a lease and it still runs."""
    holder = state.holder
    if holder is None or holder.until_ms is None:
        return False
    return at_ms < min(holder.until_ms, holder.renewed_ms + state.terms.renew_ms)


def _forget(state: State, at_ms: int) -> State:
    stale = [one for one, spent in state.spent.items() if at_ms >= spent.until_ms]
    gone = [one for one, seen in state.sightings.items() if at_ms - seen.seen_ms >= state.terms.renew_ms]
    if stale:
        state = replace(state, spent={one: spent for one, spent in state.spent.items() if one not in stale})
    if gone:
        state = replace(state, sightings={one: seen for one, seen in state.sightings.items() if one not in gone})
    return state


def _recover(state: State, event: Happening) -> Step:
    recovery = state.recovery
    if recovery is None:
        return state, ()
    owed, over = recovery.owed, event.at_ms >= recovery.until_ms
    if isinstance(event, Tick) and event.heard:
        if owed is None:
            starved = {one: red for one, red in event.red_ms.items() if state.terms.clash((one,), recovery.against)}
            owed = max(starved, key=lambda one: (starved[one], -one), default=None)
            over = over or owed is None
        over = over or owed in event.serving
    if over:
        return replace(state, recovery=None), (Recovering(False),)
    return state if owed == recovery.owed else replace(state, recovery=replace(recovery, owed=owed)), ()


def _begin(state: State, event: Happening) -> Step:
    """Grant what may begin now."""
    at_ms = event.at_ms
    claim = next_claim(state, at_ms)
    if claim is None:
        return state, ()
    effects: tuple[Effect, ...] = ()
    if state.holder is not None:
        state, effects = _release(state, at_ms, "displaced")
    until = until_ms(state, claim, at_ms)
    held = replace(claim, granted_ms=at_ms, until_ms=until)
    queue = tuple(one for one in state.queue if one.vehicle != claim.vehicle)
    state = replace(state, holder=held, queue=queue)
    if held.level == "preempt":
        since_ms = state.run.since_ms if state.run is not None else at_ms
        state = replace(state, run=Run(since_ms, held.phases))
    return state, (
        *effects,
        Granted(held.vehicle, held.request, held.approach, until, held.level),
        answer(state, held.vehicle, held.request, at_ms),
    )


def _turn(state: State, event: Happening) -> Step:
    """After the last lease of a run comes the others' turn."""
    at_ms = event.at_ms
    if state.run is None or state.outranked or (state.holder is not None and state.holder.level == "preempt"):
        return state, ()
    locked_ms = at_ms + state.terms.lockout_ms
    recovery = Recovery(at_ms + state.terms.recovery_ms, state.run.phases)
    state = replace(state, run=None, recovery=recovery, locked_ms={"preempt": locked_ms, "priority": locked_ms})
    return state, (Recovering(True),)


def _release(state: State, at_ms: int, ending: Ending) -> Step:
    """The holder holds no more. Who was displaced, outranked or is delayed waits again, with what is left of its
    cap."""
    claim = state.holder
    if claim is None or claim.granted_ms is None or claim.until_ms is None:
        return state, ()
    used_ms = claim.used_ms + max(0, min(at_ms, claim.until_ms) - claim.granted_ms)
    state = replace(state, holder=None)
    if claim.level == "priority":
        state = replace(state, locked_ms={**state.locked_ms, "priority": at_ms + state.terms.lockout_ms})
    if ending in ("displaced", "outranked", "delayed") and lasts(state, claim.level, used_ms):
        again = replace(claim, granted_ms=None, until_ms=None, used_ms=used_ms)
        state = replace(state, queue=_sorted(*state.queue, again))
    else:
        state = _spend(state, claim, used_ms, at_ms, locked=ending not in ("lapsed", "rerouted"))
    return state, _told(state, claim, at_ms, ending)


def _spend(state: State, claim: Claim, used_ms: int, at_ms: int, *, locked: bool) -> State:
    spent = Spent(used_ms, at_ms + state.terms.lockout_ms, locked)
    return replace(state, spent={**state.spent, claim.vehicle: spent})


_STATUS: dict[Ending, PriorityAnswer] = {"cap": "maxPresence", "by-hand": "rejected"}


def _told(state: State, claim: Claim, at_ms: int, ending: Ending) -> tuple[Effect, ...]:
    still = state.claim_of(claim.vehicle)
    status = _status(state, still, at_ms) if still is not None else _STATUS.get(ending, "unknown")
    return (
        Ended(claim.vehicle, claim.request, claim.approach, ending, claim.level, claim.granted_ms is not None),
        Answer(claim.vehicle, claim.request, status, ending),
    )


def _without(mapping: Mapping[K, V], key: K) -> Mapping[K, V]:
    return {one: value for one, value in mapping.items() if one != key} if key in mapping else mapping
