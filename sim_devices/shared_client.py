"""Several devices on one broker connection."""

from __future__ import annotations

import threading

from node.broker.port import BrokerClient, OnConnection, OnMessage
from protocol.errors import KinflowError


class SharedClient:
    """A BrokerClient for one device that shares `client` with others: starting and stopping leave the connection alone.

    The connection can carry no will for such a device: when this process is killed, its retained birth stays.
    """

    def __init__(self, client: BrokerClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._callbacks: list[OnConnection] = []
        self._told: bool | None = None
        client.watch(self._changed)

    def start(self) -> None:
        """Say what the connection is like now; changes follow."""
        self._changed(self._client.connected)

    def stop(self) -> None:
        with self._lock:
            self._callbacks.clear()

    def subscribe(self, topic_filter: str, qos: int, on_message: OnMessage) -> None:
        self._client.subscribe(topic_filter, qos, on_message)

    def publish(self, topic: str, payload: bytes, qos: int, retained: bool = False) -> bool:
        return self._client.publish(topic, payload, qos, retained)

    def watch(self, on_connection: OnConnection) -> None:
        self._callbacks.append(on_connection)

    @property
    def connected(self) -> bool:
        return self._client.connected

    @property
    def error(self) -> KinflowError | None:
        return self._client.error

    def _changed(self, connected: bool) -> None:
        with self._lock:
            if connected == self._told:
                return
            self._told = connected
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback(connected)
