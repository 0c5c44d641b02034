"""Two connections to one broker as one: what fills queues has its own, so that nothing else waits behind it.

A broker keeps a queue for each connection, in order, and drops from it what is too much. So alarms and heartbeats must
not share one with telemetry.
"""

from __future__ import annotations

from collections.abc import Container

from node.broker.port import BrokerClient, OnConnection, OnMessage
from protocol.errors import KinflowError


class Lanes:
    """A BrokerClient. bulky: the topic filters that `bulk` subscribes to; all else goes over `urgent`, and so does
    whatever is published."""

    def __init__(self, urgent: BrokerClient, bulk: BrokerClient, bulky: Container[str]) -> None:
        self._urgent = urgent
        self._bulk = bulk
        self._bulky = bulky

    @property
    def connected(self) -> bool:
        return self._urgent.connected and self._bulk.connected

    @property
    def error(self) -> KinflowError | None:
        return self._urgent.error or self._bulk.error

    def start(self) -> None:
        """Who is there is asked for first: a device's birth should be known before what it observes."""
        self._urgent.start()
        self._bulk.start()

    def stop(self) -> None:
        self._bulk.stop()
        self._urgent.stop()

    def watch(self, on_connection: OnConnection) -> None:
        self._urgent.watch(on_connection)

    def subscribe(self, topic_filter: str, qos: int, on_message: OnMessage) -> None:
        lane = self._bulk if topic_filter in self._bulky else self._urgent
        lane.subscribe(topic_filter, qos, on_message)

    def publish(self, topic: str, payload: bytes, qos: int, retained: bool = False) -> bool:
        return self._urgent.publish(topic, payload, qos, retained)
