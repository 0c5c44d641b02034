"""SignalRequestMessage: as a vehicle's own unit says it, into requests that still have to be signed.

An SRM comes signed by IEEE 1609.2, which is not here: a gateway that has checked that signature signs what this makes
of it with the vehicle's key."""

from __future__ import annotations

from typing import Any, Literal

from edge_server.signals.j2735.codec import Value
from edge_server.signals.j2735.moment import wall_of
from edge_server.signals.j2735.numbers import Numbers
from edge_server.signals.j2735.ssm import ROLES
from node.identity import Identity
from protocol.ids import SiteId
from protocol.messages import PriorityRequest
from protocol.messages.priority_request import LONGEST_WAY_MS
from protocol.preemption import Evidence, VehicleRole

_ACTIONS: dict[str, Literal["request", "renew", "cancel"]] = {
    "priorityRequest": "request",
    "priorityRequestUpdate": "renew",
    "priorityCancellation": "cancel",
}
_ROLES: dict[str, VehicleRole] = {name: role for role, name in ROLES.items()}
_LEVEL = "requestImportanceLevel"


def requests_of(
    srm: Value, numbers: Numbers, site: SiteId, vehicle: Identity, *, sequence: int, evidence: tuple[Evidence, ...]
) -> list[PriorityRequest]:
    """One for each request in it, with sequence numbers from `sequence` on. Raises ValueError, which names the
    field."""
    now_ms = vehicle.clock.wall_ms()
    kind = _part(_part(srm, "requestor"), "type")
    role = _ROLES.get(_word(kind, "role"))
    if role is None:
        raise ValueError(f"role: {kind['role']!r} may not ask here")
    found = []
    for at, package in enumerate(_list(srm, "requests")):
        request = _part(package, "request")
        place = numbers.intersection(_number(_part(request, "id"), "id"))
        action = _ACTIONS.get(_word(request, "requestType"))
        if action is None:
            raise ValueError(f"requestType: {request['requestType']!r}")
        out = request.get("outBoundLane")
        found.append(
            PriorityRequest(
                **vehicle.live(),
                site=site,
                intersection=place,
                action=action,
                request=_number(request, "requestID"),
                sequence=sequence + at,
                role=role,
                approach=numbers.approach(place, _number(_part(request, "inBoundLane"), "approach")),
                egress=numbers.egress(place, _number(out, "approach")) if isinstance(out, dict) else None,
                arrives_in_ms=_arrives_in_ms(package, now_ms),
                importance=_importance(kind),
                evidence=evidence,
            )
        )
    return found


def _arrives_in_ms(package: Value, now_ms: int) -> int:
    """Without a time the vehicle is there."""
    if "minute" not in package:
        return 0
    second = _number(package, "second") if "second" in package else 0
    arrival_ms = wall_of(_number(package, "minute"), second, now_ms)
    return max(0, min(arrival_ms - now_ms, LONGEST_WAY_MS))


def _importance(kind: Value) -> int:
    """requestImportanceLevel1 (the least) to …14; unknown counts as the least."""
    if "request" not in kind:
        return 1
    number = _word(kind, "request").removeprefix(_LEVEL)
    if number == "UnKnown":
        return 1
    if not number.isascii() or not number.isdecimal() or not 1 <= int(number) <= 14:
        raise ValueError(f"request: {kind['request']!r}")
    return int(number)


def _part(value: Any, name: str) -> Value:
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, dict):
        raise ValueError(f"{name} is missing")
    return found


def _list(value: Value, name: str) -> list[Any]:
    found = value.get(name)
    if not isinstance(found, list) or not 1 <= len(found) <= 32:
        raise ValueError(f"{name} has to have 1 to 32 entries")
    return found


def _number(value: Value, name: str) -> int:
    found = value.get(name)
    if not isinstance(found, int) or isinstance(found, bool):
        raise ValueError(f"{name} is no number")
    return found


def _word(value: Value, name: str) -> str:
    found = value.get(name)
    if not isinstance(found, str):
        raise ValueError(f"{name} is no name")
    return found
