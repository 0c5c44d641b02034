"""A vehicle's message as an event: believed or not, in time or not, on shift or not."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

from edge_server.signals.preemption.events import Cancel, Renew, Request
from edge_server.signals.preemption.signature import proof
from edge_server.signals.preemption.vehicles import Vehicle
from edge_server.signals.preemption.wave import Teller
from protocol.messages import PriorityRequest, PriorityRoute

log = structlog.get_logger("edge.preemption")


def event_of(
    message: PriorityRequest, vehicle: Vehicle | None, *, at_ms: int, wall_ms: int, zone: tzinfo
) -> Request | Cancel:
    """vehicle: of the key file, None where it has none of that name. at_ms: the log's clock; wall_ms: the wall clock,
    by which the message's own time is judged; zone: of the shifts."""
    found = proof(message, vehicle.key if vehicle is not None else None)
    now = datetime.fromtimestamp(wall_ms / 1000, UTC).astimezone(zone)
    on_shift = vehicle is not None and vehicle.on_shift(now)
    off_ms = message.at_ms - wall_ms
    if message.action == "cancel":
        return Cancel(
            at_ms=at_ms,
            vehicle=message.source,
            request=message.request,
            sequence=message.sequence,
            off_ms=off_ms,
            proof=found,
            on_shift=on_shift,
        )
    kind = Renew if message.action == "renew" else Request
    return kind(
        at_ms=at_ms,
        vehicle=message.source,
        request=message.request,
        sequence=message.sequence,
        off_ms=off_ms,
        proof=found,
        on_shift=on_shift,
        role=message.role,
        own_role=vehicle is not None and vehicle.role == message.role,
        approach=message.approach,
        egress=message.egress,
        arrives_in_ms=message.arrives_in_ms,
        importance=message.importance,
        evidence=message.evidence,
    )


def teller_of(message: PriorityRoute, vehicle: Vehicle | None, *, at_ms: int, wall_ms: int, zone: tzinfo) -> Teller:
    """The same of a route, as far as it is the same for all of its legs."""
    now = datetime.fromtimestamp(wall_ms / 1000, UTC).astimezone(zone)
    return Teller(
        at_ms=at_ms,
        off_ms=message.at_ms - wall_ms,
        proof=proof(message, vehicle.key if vehicle is not None else None),
        on_shift=vehicle is not None and vehicle.on_shift(now),
        own_role=vehicle is not None and vehicle.role == message.role,
    )


def zone_of(name: str) -> tzinfo:
    """The time zone of that name; UTC, with a word in the log, where there is none."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        log.error("there is no such time zone; shifts are read in UTC", zone=name)
        return UTC
