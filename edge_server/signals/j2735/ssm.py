"""SignalStatusMessage: what became of the requests at each intersection."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from edge_server.signals.j2735.codec import Value
from edge_server.signals.j2735.moment import d_second, minute_of_year
from edge_server.signals.j2735.numbers import Numbers, entity_id
from edge_server.signals.preemption.machine import answer
from edge_server.signals.preemption.state import CAMERA, Claim, State
from protocol.ids import IntersectionId
from protocol.messages.priority_status import PriorityAnswer
from protocol.preemption import VehicleRole

# BasicVehicleRole.
ROLES: dict[VehicleRole, str] = {
    "ambulance": "ambulance",
    "fire-engine": "fire",
    "police": "police",
    "bus": "transit",
    "freight": "truck",
}


def status_message(
    states: Mapping[IntersectionId, State],
    numbers: Numbers,
    *,
    at_ms: int,
    wall_ms: int,
    sequence: int,
    steered: Collection[IntersectionId],
) -> Value:
    """at_ms: the log's clock. sequence: MsgCount (0..127). steered: where this edge server does; elsewhere nothing is
    called granted. A camera is no requester, and in no status."""
    statuses = []
    for place, state in states.items():
        found = [
            _package(one, state, place, numbers, at_ms=at_ms, wall_ms=wall_ms, steers=place in steered)
            for one in _claims(state)
        ]
        if found:
            statuses.append(
                {"sequenceNumber": sequence % 128, "id": {"id": numbers.intersections[place]}, "sigStatus": found}
            )
    return {
        "timeStamp": minute_of_year(wall_ms),
        "second": d_second(wall_ms),
        "sequenceNumber": sequence % 128,
        "status": statuses,
    }


def _claims(state: State) -> list[Claim]:
    every = ([state.holder] if state.holder is not None else []) + list(state.queue)
    return [one for one in every if not one.vehicle.startswith(CAMERA)]


def _package(
    claim: Claim, state: State, place: IntersectionId, numbers: Numbers, *, at_ms: int, wall_ms: int, steers: bool
) -> Value:
    status: PriorityAnswer = answer(state, claim.vehicle, claim.request, at_ms).status
    if status == "granted" and not steers:
        status = "watchOtherTraffic"
    last = state.last.get(claim.vehicle)
    arrival_ms = wall_ms + max(0, claim.arrival_ms - at_ms)
    package: Value = {
        "requester": {
            "id": {"entityID": entity_id(claim.vehicle)},
            "request": claim.request,
            "sequenceNumber": last.sequence % 128 if last is not None else 0,
            **({"role": ROLES[claim.role]} if claim.role is not None else {}),
        },
        "inboundOn": {"approach": numbers.inbound(place, claim.approach)},
        "minute": minute_of_year(arrival_ms),
        "second": d_second(arrival_ms),
        "status": status,
    }
    if claim.egress is not None:
        package["outboundOn"] = {"approach": numbers.outbound(place, claim.egress)}
    return package
