"""A command that moves traffic: never retained, never queued, worthless once it is late."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from protocol.ids import BOOT_PATTERN, SLUG_PATTERN, BootId, IntersectionId, PhaseId
from protocol.messages.base import Message, Millis, Seq, Text

LEASE_MAX_MS = 10_000


class SignalCommand(Message, frozen=True, kw_only=True, tag="signal-command"):
    """Serve `phases` (hold them when they are green already), for no longer than the lease.

    heartbeat and heartbeat_boot: the controller's latest heartbeat that the edge had seen: an older one is stale, so no
    clock is needed to recognise a late command. lease_ms runs on the controller's monotonic clock from receipt. epoch
    fences out an earlier edge. cuts_walk: a walk that is not among the phases may end before its time, for a
    pre-emption; no controller has to, and none before it has shown walk for 4 s. newest_capture_ms: wall clock of the
    newest frame behind the decision, 0 when none was.
    """

    intersection: Annotated[IntersectionId, Meta(pattern=SLUG_PATTERN)]
    phases: Annotated[tuple[PhaseId, ...], Meta(max_length=64)]
    heartbeat: Seq
    heartbeat_boot: Annotated[BootId, Meta(pattern=BOOT_PATTERN)]
    lease_ms: Annotated[int, Meta(gt=0, le=LEASE_MAX_MS)]
    epoch: Annotated[int, Meta(ge=1, lt=1 << 53)]
    controller: Text
    reason: Text
    cuts_walk: bool = False
    newest_capture_ms: Millis = 0
