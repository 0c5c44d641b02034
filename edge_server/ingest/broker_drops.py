"""What our own mosquitto dropped because a queue was full: its own count, which it publishes once a second."""

from __future__ import annotations

from contextlib import suppress

from node.broker.port import BrokerClient, Received

# Of all clients together; Kinflow's own connection for telemetry is the one whose queue fills.
TOPIC = "$SYS/broker/publish/messages/dropped"


class BrokerDrops:
    """count: since our start, over restarts of the broker. What was dropped was not acknowledged: it comes again."""

    def __init__(self) -> None:
        self.count = 0
        self._last: int | None = None

    def subscribe(self, client: BrokerClient) -> None:
        client.subscribe(TOPIC, 0, self.take)

    def take(self, received: Received) -> None:
        with suppress(ValueError):
            now = int(received.payload)
            if self._last is not None:
                self.count += now - self._last if now >= self._last else now
            self._last = now
