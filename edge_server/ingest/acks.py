"""Sending acknowledgements: several commits' worth in one message while there is much to do."""

from __future__ import annotations

from edge_server.ingest import ranges
from edge_server.ingest.effects import Acknowledge
from edge_server.ingest.ranges import Ranges
from node.broker.port import BrokerClient
from node.identity import Identity
from protocol.codec import encode
from protocol.ids import BootId, DeviceId
from protocol.messages import Ack
from protocol.topics import ACK, DEFAULT_PREFIX

GATHER_MS = 50
LIMIT_RANGES = 1_000


class Acks:
    """One that is lost costs a repetition: its device sends again, and is acknowledged again."""

    def __init__(self, client: BrokerClient, identity: Identity, prefix: str = DEFAULT_PREFIX) -> None:
        self._client = client
        self._identity = identity
        self._prefix = prefix
        self._waiting: dict[tuple[DeviceId, BootId], Ranges] = {}
        self._since_mono_ms = 0

    def add(self, acknowledge: Acknowledge) -> None:
        if not self._waiting:
            self._since_mono_ms = self._identity.clock.monotonic_ms()
        key = (acknowledge.source, acknowledge.boot)
        self._waiting[key] = ranges.union(self._waiting.get(key, ()), acknowledge.ranges)

    def flush(self, idle: bool) -> None:
        """Send what waits: at once when there is nothing else to do, else when it has waited for GATHER_MS."""
        if not self._waiting or not (idle or self._identity.clock.monotonic_ms() - self._since_mono_ms >= GATHER_MS):
            return
        waiting, self._waiting = self._waiting, {}
        for (source, boot), numbers in waiting.items():
            topic = ACK.of(source, prefix=self._prefix)
            for at in range(0, len(numbers), LIMIT_RANGES):
                part = numbers[at : at + LIMIT_RANGES]
                ack = Ack(**self._identity.live(), acked_boot=boot, ranges=part)
                self._client.publish(topic, encode(ack), ACK.qos)
