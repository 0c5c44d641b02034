"""Each refusal as an error that a person can look up."""

from __future__ import annotations

from collections.abc import Callable

from edge_server.errors import (
    PriorityClockOff,
    PriorityLockedOut,
    PriorityOffShift,
    PriorityQueueFull,
    PriorityReplayed,
    PriorityRoleRefused,
    PriorityRouteUnknown,
    PriorityTooOften,
    PriorityUnbelieved,
    PriorityWithoutEvidence,
    RouteBroken,
)
from edge_server.signals.preemption.events import Refusal, Request, Signed
from edge_server.signals.preemption.terms import Terms
from protocol.errors import KinflowError


def error_of(refusal: Refusal, event: Signed, terms: Terms) -> KinflowError:
    return _ERRORS[refusal](event, terms)


def _unbelieved(detail: str) -> Callable[[Signed, Terms], KinflowError]:
    return lambda event, _: PriorityUnbelieved(vehicle=event.vehicle, detail=detail)


def _clock_off(side: str) -> Callable[[Signed, Terms], KinflowError]:
    return lambda event, terms: PriorityClockOff(
        vehicle=event.vehicle, off_s=abs(event.off_ms) // 1000, side=side, skew_s=terms.skew_ms // 1000
    )


def _no_route(event: Signed, terms: Terms) -> KinflowError:
    approach, egress = (event.approach, event.egress) if isinstance(event, Request) else ("", None)
    return PriorityRouteUnknown(intersection=terms.intersection, approach=approach, egress=egress or "any egress")


def _wrong_role(event: Signed, _: Terms) -> KinflowError:
    return PriorityRoleRefused(vehicle=event.vehicle, role=event.role if isinstance(event, Request) else "none")


_ERRORS: dict[Refusal, Callable[[Signed, Terms], KinflowError]] = {
    "forged": _unbelieved("its signature does not fit"),
    "unsigned": _unbelieved("it is not signed"),
    "unknown-vehicle": _unbelieved("no vehicle of that name is in the key file"),
    "replayed": lambda event, _: PriorityReplayed(vehicle=event.vehicle),
    "expired": _clock_off("before"),
    "clock-ahead": _clock_off("after"),
    "role-not-allowed": _wrong_role,
    "off-shift": lambda event, _: PriorityOffShift(vehicle=event.vehicle),
    "too-often": lambda event, terms: PriorityTooOften(vehicle=event.vehicle, limit=terms.requests_per_hour),
    "no-evidence": lambda event, terms: PriorityWithoutEvidence(
        vehicle=event.vehicle, evidence=", ".join(terms.evidence)
    ),
    "no-such-route": _no_route,
    "route-gap": lambda event, terms: RouteBroken(
        vehicle=event.vehicle, where=terms.intersection, detail="the leg before does not lead there"
    ),
    "locked-out": lambda event, terms: PriorityLockedOut(vehicle=event.vehicle, intersection=terms.intersection),
    "queue-full": lambda event, terms: PriorityQueueFull(vehicle=event.vehicle, intersection=terms.intersection),
}
# By the text of the refusal: an ending has none.
CODES: dict[str, str] = {
    "forged": "KF310",
    "unsigned": "KF310",
    "unknown-vehicle": "KF310",
    "replayed": "KF311",
    "expired": "KF312",
    "clock-ahead": "KF312",
    "role-not-allowed": "KF313",
    "off-shift": "KF314",
    "too-often": "KF315",
    "no-evidence": "KF316",
    "no-such-route": "KF317",
    "route-gap": "KF326",
    "locked-out": "KF318",
    "queue-full": "KF319",
}
