"""One message in the outbox, and the bounds that the outbox keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from protocol.ids import BootId

# The delivery classes of protocol.topics that pass the outbox, and the outbox's own reports of what it gave up.
Delivery = Literal["alarm", "gap", "state", "telemetry"]
Reason = Literal["superseded", "thinned", "disk-full", "corrupt", "restart"]
Key = tuple[BootId, int]

# What goes first when everything waits.
RANKS: dict[Delivery, int] = {"alarm": 0, "gap": 1, "state": 2, "telemetry": 3}


@dataclass(slots=True, eq=False)
class Entry:
    """payload is None while only the disk holds it. order counts all entries of this process as they came."""

    boot: BootId
    seq: int
    delivery: Delivery
    topic: str
    payload: bytes | None
    size_bytes: int
    order: int = -1
    since_ms: int = 0
    on_disk: bool = False
    in_flight: bool = False
    due_ms: int = 0
    attempts: int = 0
    gone: bool = False

    @property
    def key(self) -> Key:
        return (self.boot, self.seq)

    @property
    def durable(self) -> bool:
        """Whether it must be on disk before it is sent."""
        return self.delivery in ("alarm", "gap")

    @property
    def urgency(self) -> tuple[int, int]:
        """Sort key: alarms and gaps in their order, then states and telemetry, the newest first."""
        return (RANKS[self.delivery], self.order if self.durable else -self.order)


@dataclass(frozen=True)
class Limits:
    """Bounds of one outbox.

    window: messages sent and not yet acknowledged; alarms may take twice that, so that nothing else blocks them.
    telemetry_*: what may wait before thinning. memory_messages: how much telemetry may wait in memory while the disk
    refuses. spill_*: when state and telemetry go to disk: that many while the link is down, or once one is that old.
    delete_*: when acknowledged rows are deleted. resend_*: patience with an acknowledgement, doubling. gap_*: how often
    and how large losses are reported.
    """

    window: int = 512
    telemetry_messages: int = 20_000
    telemetry_bytes: int = 32 * 1024 * 1024
    memory_messages: int = 2_000
    spill_messages: int = 500
    spill_after_ms: int = 30_000
    delete_messages: int = 500
    delete_after_ms: int = 30_000
    retry_disk_ms: int = 5_000
    resend_ms: int = 5_000
    resend_longest_ms: int = 20_000
    gap_every_ms: int = 2_000
    gap_ranges: int = 1_000
