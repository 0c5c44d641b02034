"""Two brokers as one: our own and the other edge server's. A device is on one of them, and both edge servers hear it.

What is said to a device goes where it was last heard; what is retained goes to both. A broker that a device has left
says things that are no longer so: its will there, and the birth that was retained there. Those are passed over.
"""

from __future__ import annotations

import threading
from typing import Literal

from node.broker.port import BrokerClient, OnConnection, OnMessage, Received
from protocol.codec import decode
from protocol.errors import KinflowError
from protocol.ids import DeviceId
from protocol.messages import Death
from protocol.topics import DEFAULT_PREFIX, PRESENCE, TOPICS

Line = Literal["own", "peer"]

# What only the device itself writes tells where it is.
TELLING = frozenset(topic.leaf.partition("/")[0] for topic in TOPICS if topic.writer == "device")


class Lines:
    """A BrokerClient over two. edge: this edge server itself, which is on both. Thread-safe; callbacks come on either
    client's thread, one at a time. `connected` and `watch` are about our own broker: without the other one we serve all
    the same."""

    def __init__(self, edge: DeviceId, own: BrokerClient, peer: BrokerClient, prefix: str = DEFAULT_PREFIX) -> None:
        self._edge = edge
        self._clients: dict[Line, BrokerClient] = {"own": own, "peer": peer}
        self._head = f"{prefix}/1/"
        self._presence = PRESENCE.every(prefix)
        self._hears_presence: list[OnMessage] = []
        self._places = _Places()
        self._calling = threading.Lock()

    @property
    def connected(self) -> bool:
        return self._clients["own"].connected

    @property
    def peer_connected(self) -> bool:
        return self._clients["peer"].connected

    @property
    def error(self) -> KinflowError | None:
        return self._clients["own"].error

    def start(self) -> None:
        for client in self._clients.values():
            client.start()

    def stop(self) -> None:
        for client in self._clients.values():
            client.stop()

    def watch(self, on_connection: OnConnection) -> None:
        self._clients["own"].watch(on_connection)

    def watch_peer(self, on_connection: OnConnection) -> None:
        self._clients["peer"].watch(on_connection)

    def subscribe(self, topic_filter: str, qos: int, on_message: OnMessage) -> None:
        if topic_filter == self._presence:
            self._hears_presence.append(on_message)
        self._clients["own"].subscribe(topic_filter, qos, lambda one: self._take("own", one, on_message))
        self._clients["peer"].subscribe(topic_filter, qos, lambda one: self._take("peer", one, on_message))

    def publish(self, topic: str, payload: bytes, qos: int, retained: bool = False) -> bool:
        own, peer = self._clients["own"], self._clients["peer"]
        place = None if retained else self._places.of(self._device(topic)[0])
        if place is not None and self._clients[place].connected:
            return self._clients[place].publish(topic, payload, qos)
        sent = [client.publish(topic, payload, qos, retained) for client in (own, peer)]
        return any(sent)

    def _take(self, line: Line, received: Received, on_message: OnMessage) -> None:
        device, leaf = self._device(received.topic)
        with self._calling:
            if device == self._edge or leaf.partition("/")[0] not in TELLING:
                on_message(received)
            elif leaf != PRESENCE.leaf:
                if self._places.heard(device, line) and (birth := self._places.birth(device, line)) is not None:
                    for hearer in self._hears_presence:
                        hearer(birth)
                on_message(received)
            elif self._places.presence(device, line, received, _is_death(received)):
                on_message(received)

    def _device(self, topic: str) -> tuple[DeviceId, str]:
        device, _, leaf = topic[len(self._head) :].partition("/") if topic.startswith(self._head) else ("", "", "")
        return DeviceId(device), leaf


class _Places:
    """Where each device is: the broker that it last spoke on. And what each broker last said of it."""

    def __init__(self) -> None:
        self._at: dict[DeviceId, Line] = {}
        self._births: dict[tuple[DeviceId, Line], Received] = {}

    def of(self, device: DeviceId) -> Line | None:
        return self._at.get(device)

    def heard(self, device: DeviceId, line: Line) -> bool:
        """It spoke; whether that tells us where it is."""
        news = self._at.get(device) != line
        self._at[device] = line
        return news

    def birth(self, device: DeviceId, line: Line) -> Received | None:
        """The birth by which this broker knows it."""
        return self._births.get((device, line))

    def presence(self, device: DeviceId, line: Line, received: Received, death: bool) -> bool:
        """Take a birth, a death, or that its registration was cleared; whether it is to be believed."""
        place = self._at.get(device)
        if death or not received.payload:
            self._births.pop((device, line), None)
            return place is None or place == line
        self._births[device, line] = received
        if received.retained:
            return place is None or place == line
        self._at[device] = line
        return True


def _is_death(received: Received) -> bool:
    try:
        return bool(received.payload) and isinstance(decode(PRESENCE, received.payload), Death)
    except KinflowError:
        return False
