"""A green wave: one signed route becomes a claim at each of our intersections on it. Pure.

Each is told when the vehicle will be there, by its speed, the way to go, and the queues that have to move first; and
how long before that it needs the signals. What the machine of each intersection makes of that is for it alone: caps,
lock-outs and whatever outranks us hold there as for any other claim. A leg that the vehicle no longer names is
released.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from edge_server.signals.preemption.events import Cancel, Proof, Renew, Request, Signed
from edge_server.signals.preemption.flush import Need
from edge_server.signals.preemption.route import OwnLeg, Route
from edge_server.signals.preemption.state import State
from protocol.ids import IntersectionId
from protocol.messages import PriorityRoute
from protocol.messages.priority_request import LONGEST_WAY_MS

# The way should be free a little before the vehicle sees the signals: it drives on them, not on our figures.
MARGIN_MS = 4_000

Needs = Callable[[OwnLeg], Need | None]


@dataclass(frozen=True)
class Arrival:
    """arrives_in_ms: at the stop line. ahead_ms: how long before that the signals are needed, None when the
    intersection is not heard: then as long as is allowed."""

    own: OwnLeg
    arrives_in_ms: int
    ahead_ms: int | None


@dataclass(frozen=True)
class Teller:
    """What is known of who sent a route (edge_server.signals.preemption.reading)."""

    at_ms: int
    off_ms: int
    proof: Proof
    on_shift: bool
    own_role: bool


def predict(own: Sequence[OwnLeg], speed_cmps: int, needs: Needs) -> tuple[Arrival, ...]:
    """needs: how long a way takes to be free, None where that is not known. A way that can't be free in
    time keeps the vehicle waiting, and makes it later at all that follow."""
    found, late_ms = [], 0
    for one in own:
        driving_ms = one.distance_m * 100_000 // speed_cmps
        needed = needs(one)
        arrives_ms = max(driving_ms + late_ms, needed.now_ms if needed is not None else 0)
        late_ms = arrives_ms - driving_ms
        ahead_ms = None if needed is None else needed.most_ms + MARGIN_MS
        found.append(Arrival(one, min(arrives_ms, LONGEST_WAY_MS), ahead_ms))
    return tuple(found)


def events(
    message: PriorityRoute,
    teller: Teller,
    arrivals: Sequence[Arrival],
    states: Mapping[IntersectionId, State],
) -> list[tuple[IntersectionId, Signed]]:
    """What each intersection is told, those on the way first and in their order."""
    vehicle = str(message.source)
    named = {one.own.leg.intersection for one in arrivals}
    claimed = {name: claim for name, state in states.items() if (claim := state.claim_of(vehicle)) is not None}
    if message.action == "cancel":
        over = [name for name in states if name in claimed or name in named]
        return [(name, _cancel(message, teller, passed=True)) for name in over]
    first_ms = teller.at_ms + (arrivals[0].arrives_in_ms if arrivals else LONGEST_WAY_MS)
    return [
        *((one.own.leg.intersection, _ask(message, teller, one)) for one in arrivals),
        *(
            # What was to come before all that it still names lies behind it; else it drives elsewhere.
            (name, _cancel(message, teller, passed=claim.arrival_ms <= first_ms))
            for name, claim in claimed.items()
            if name not in named
        ),
    ]


def _ask(message: PriorityRoute, teller: Teller, arrival: Arrival) -> Request:
    leg = arrival.own.leg
    kind = Renew if message.action == "renew" else Request
    return kind(
        **_signed(message, teller),
        role=message.role,
        own_role=teller.own_role,
        approach=leg.approach,
        egress=leg.egress,
        arrives_in_ms=arrival.arrives_in_ms,
        ahead_ms=arrival.ahead_ms,
        linked=arrival.own.linked,
        importance=message.importance,
        evidence=message.evidence,
    )


def _cancel(message: PriorityRoute, teller: Teller, *, passed: bool) -> Cancel:
    return Cancel(**_signed(message, teller), passed=passed)


def _signed(message: PriorityRoute, teller: Teller) -> dict[str, Any]:
    """What all events say of a signed message."""
    return {
        "at_ms": teller.at_ms,
        "vehicle": message.source,
        "request": message.request,
        "sequence": message.sequence,
        "mark": mark(message),
        "off_ms": teller.off_ms,
        "proof": teller.proof,
        "on_shift": teller.on_shift,
    }


def mark(message: PriorityRoute) -> str:
    """Tells this very message from another of the same number: what we predict from it changes meanwhile."""
    said = (message.action, message.request, message.role, message.speed_cmps, message.legs, message.importance)
    return hashlib.sha256(msgspec.json.encode((*said, message.evidence))).hexdigest()[:16]


def summary(route: Route) -> tuple[object, ...]:
    """What tells one plan from another."""
    return tuple(one.leg.intersection for one in route.own), route.onward, route.fault
