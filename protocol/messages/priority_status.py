"""What became of a vehicle's request."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from protocol.ids import SLUG_PATTERN, IntersectionId
from protocol.messages.base import Message, Millis, Text

# SAE J2735 PrioritizationResponseStatus, by its own names.
PriorityAnswer = Literal[
    "unknown",
    "requested",
    "processing",
    "watchOtherTraffic",
    "granted",
    "rejected",
    "maxPresence",
    "reserviceLocked",
]


class PriorityStatus(Message, frozen=True, kw_only=True, tag="priority-status"):
    """To the vehicle: after each of its messages, and when its lot changes. reason: the rule that refused it, or how
    its lease ended; code: the page that explains it. left_ms: of a granted lease, if it is renewed. edge_ms: the
    edge server's wall clock, so that a vehicle whose clock is off can tell."""

    intersection: Annotated[IntersectionId, Meta(pattern=SLUG_PATTERN)]
    request: Annotated[int, Meta(ge=0, le=255)]
    status: PriorityAnswer
    reason: Text = ""
    code: Annotated[str, Meta(max_length=8)] | None = None
    left_ms: Millis | None = None
    edge_ms: Millis
