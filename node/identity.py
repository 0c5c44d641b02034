"""Who this process is, and the envelopes that it writes."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from typing import TypedDict

from node.clock import Clock
from protocol.ids import BootId, DeviceId, MessageId, new_boot_id, new_message_id


class Envelope(TypedDict):
    id: MessageId
    source: DeviceId
    boot: BootId
    seq: int
    at_ms: int
    mono_ms: int


@dataclass
class Identity:
    """One run of one device's process. Stamps messages from any thread.

    Two counters, as docs/mqtt.md says: messages that pass the outbox count without a hole, live ones count apart.
    """

    device: DeviceId
    clock: Clock
    boot: BootId = field(default_factory=new_boot_id)

    def __post_init__(self) -> None:
        self._live = itertools.count(1)
        self._accounted = itertools.count(1)
        self._lock = threading.Lock()

    def live(self) -> Envelope:
        """Envelope fields of a message that does not pass the outbox: `Heartbeat(**identity.live(), ...)`."""
        return self._stamp(self._live)

    def accounted(self) -> Envelope:
        """Envelope fields of a message that the outbox accounts for. Whatever is stamped must be given to the outbox:
        a number that never arrives is reported as lost."""
        return self._stamp(self._accounted)

    def _stamp(self, counter: itertools.count[int]) -> Envelope:
        with self._lock:
            seq = next(counter)
        wall_ms = self.clock.wall_ms()
        return Envelope(
            id=new_message_id(wall_ms),
            source=self.device,
            boot=self.boot,
            seq=seq,
            at_ms=wall_ms,
            mono_ms=self.clock.monotonic_ms(),
        )
