"""A vehicle asks for the signals, asks on, or needs them no longer."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from protocol.ids import SLUG_PATTERN, ApproachId, IntersectionId, SiteId
from protocol.messages.base import Message, Seq
from protocol.preemption import Evidence, Importance, VehicleRole

LONGEST_WAY_MS = 3_600_000


class PriorityRequest(Message, frozen=True, kw_only=True, tag="priority-request"):
    """`source` is the vehicle; `sig` is its Ed25519 signature over the rest (docs/preemption.md). Meanings as in SAE
    J2735's SignalRequestMessage: request (requestID), action (requestType), importance (RequestImportanceLevel).

    sequence: rises with each message of this vehicle, over its restarts too (its clock in milliseconds will do).
    approach, egress: as the site file names them; egress None when it is not known. arrives_in_ms: until the vehicle is
    at the stop line. evidence: what it says for itself. Renewed while it is needed, once a second or so.
    """

    site: Annotated[SiteId, Meta(pattern=SLUG_PATTERN)]
    intersection: Annotated[IntersectionId, Meta(pattern=SLUG_PATTERN)]
    action: Literal["request", "renew", "cancel"]
    request: Annotated[int, Meta(ge=0, le=255)]
    sequence: Seq
    role: VehicleRole
    approach: Annotated[ApproachId, Meta(pattern=SLUG_PATTERN)]
    egress: Annotated[str, Meta(pattern=SLUG_PATTERN)] | None = None
    arrives_in_ms: Annotated[int, Meta(ge=0, le=LONGEST_WAY_MS)] = 0
    importance: Importance = 14
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=8)] = ()
