"""A vehicle asks for the signals of its whole way, asks on, or needs them no longer."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocol.ids import SLUG_PATTERN, ApproachId, IntersectionId, SiteId
from protocol.messages.base import Message, Seq
from protocol.preemption import Evidence, Importance, VehicleRole

LEGS_MOST = 32


class Leg(Struct, frozen=True, kw_only=True):
    """One intersection on the way. egress: None when it is not known. distance_m: to its stop line from the one
    before; of the first leg, from the vehicle."""

    site: Annotated[SiteId, Meta(pattern=SLUG_PATTERN)]
    intersection: Annotated[IntersectionId, Meta(pattern=SLUG_PATTERN)]
    approach: Annotated[ApproachId, Meta(pattern=SLUG_PATTERN)]
    egress: Annotated[str, Meta(pattern=SLUG_PATTERN)] | None = None
    distance_m: Annotated[int, Meta(ge=0, le=50_000)]


class PriorityRoute(Message, frozen=True, kw_only=True, tag="priority-route"):
    """`source`, `sig`, request, sequence, role, importance and evidence as in PriorityRequest; the two share one row of
    sequence numbers.

    legs: what is still ahead, in order, over as many sites as it leads through; a leg that is left out is released.
    speed_cmps: how fast it drives when nothing is in its way, in centimetres a second. Renewed once a second or so.
    """

    action: Literal["request", "renew", "cancel"]
    request: Annotated[int, Meta(ge=0, le=255)]
    sequence: Seq
    role: VehicleRole
    speed_cmps: Annotated[int, Meta(ge=100, le=10_000)]
    legs: Annotated[tuple[Leg, ...], Meta(min_length=1, max_length=LEGS_MOST)]
    importance: Importance = 14
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=8)] = ()
