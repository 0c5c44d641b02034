"""A broker and its clients in memory, without a socket: the fake that tests use, held to the real ones' contract."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from paho.mqtt.client import topic_matches_sub

from node.broker.port import BrokerAddress, OnConnection, OnMessage, Received, Will
from node.errors import BrokerRefused, BrokerUnreachable
from protocol.errors import KinflowError

log = logging.getLogger(__name__)


@dataclass
class _Session:
    client: MemoryClient
    filters: set[str]


class MemoryBroker:
    """Delivers in order, at once. stop() cuts every connection and forgets retained messages, like a restart."""

    def __init__(self, password: str = "memory") -> None:  # noqa: S107
        self._password = password
        self._lock = threading.RLock()
        self._running = False
        self._retained: dict[str, bytes] = {}
        self._sessions: dict[str, _Session] = {}
        self._waiting: list[MemoryClient] = []

    @property
    def address(self) -> BrokerAddress:
        return BrokerAddress(username="kinflow", password=self._password)

    def start(self) -> None:
        with self._lock:
            self._running = True
            waiting, self._waiting = self._waiting, []
        for client in waiting:
            client.knock()

    def stop(self) -> None:
        with self._lock:
            self._running = False
            self._retained.clear()
            sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.client.cut()

    def client(self, client_id: str, will: Will | None = None, address: BrokerAddress | None = None) -> MemoryClient:
        return MemoryClient(self, address or self.address, client_id, will)

    def kill(self, client_id: str) -> None:
        """End a client's connection without a good-bye: its will is published."""
        with self._lock:
            session = self._sessions.pop(client_id, None)
        if session is not None:
            will = session.client.will
            session.client.cut()
            if will is not None:
                self.deliver(will.topic, will.payload, retained=True)

    def enter(self, client: MemoryClient, filters: set[str]) -> KinflowError | None:
        """What CONNECT and SUBSCRIBE do; the error when the client stays outside."""
        host, port = client.address.host, client.address.port
        with self._lock:
            if not self._running:
                self._waiting.append(client)
                return BrokerUnreachable(host=host, port=port, detail="not running")
            if (client.address.username, client.address.password) != ("kinflow", self._password):
                return BrokerRefused(host=host, port=port, detail="Not authorized")
            self._sessions[client.client_id] = _Session(client, set())
        for topic_filter in sorted(filters):
            self.subscribe(client, topic_filter)
        return None

    def leave(self, client: MemoryClient) -> None:
        with self._lock:
            self._sessions.pop(client.client_id, None)

    def subscribe(self, client: MemoryClient, topic_filter: str) -> None:
        with self._lock:
            session = self._sessions.get(client.client_id)
            if session is None:
                return
            session.filters.add(topic_filter)
            for topic, payload in self._retained.items():
                if topic_matches_sub(topic_filter, topic):
                    client.take(Received(topic, payload, retained=True))

    def deliver(self, topic: str, payload: bytes, retained: bool) -> None:
        with self._lock:
            if retained and payload:
                self._retained[topic] = payload
            elif retained:
                self._retained.pop(topic, None)
            for session in self._sessions.values():
                if any(topic_matches_sub(one, topic) for one in session.filters):
                    session.client.take(Received(topic, payload, retained=False))


class MemoryClient:
    """A BrokerClient of a MemoryBroker; callbacks come on its own thread, as paho's do."""

    def __init__(self, broker: MemoryBroker, address: BrokerAddress, client_id: str, will: Will | None) -> None:
        self.address = address
        self.client_id = client_id
        self.will = will
        self._broker = broker
        self._steps: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._subscriptions: dict[str, list[OnMessage]] = {}
        self._on_connection: list[OnConnection] = []
        self._connected = False
        self._stopped = False
        self._error: KinflowError | None = None
        self._thread = threading.Thread(target=self._run, name=f"memory-{client_id}", daemon=True)

    @property
    def connected(self) -> bool:
        return self._connected

    @property
    def error(self) -> KinflowError | None:
        return self._error

    def watch(self, on_connection: OnConnection) -> None:
        self._on_connection.append(on_connection)

    def start(self) -> None:
        self._thread.start()
        self.knock()

    def stop(self) -> None:
        self._stopped = True
        self._connected = False
        self._broker.leave(self)
        self._steps.put(None)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def subscribe(self, topic_filter: str, qos: int, on_message: OnMessage) -> None:
        del qos  # nothing is lost here, so both deliver once
        self._subscriptions = {
            **self._subscriptions,
            topic_filter: [*self._subscriptions.get(topic_filter, []), on_message],
        }
        if self._connected:
            self._broker.subscribe(self, topic_filter)

    def publish(self, topic: str, payload: bytes, qos: int, retained: bool = False) -> bool:
        del qos
        if not self._connected:
            return False
        self._broker.deliver(topic, payload, retained)
        return True

    def knock(self) -> None:
        self._steps.put(self._enter)

    def cut(self) -> None:
        self._connected = False
        self._steps.put(self._lost)
        self.knock()

    def take(self, received: Received) -> None:
        self._steps.put(lambda: self._dispatch(received))

    def _run(self) -> None:
        while (step := self._steps.get()) is not None:
            try:
                step()
            except Exception:
                log.exception("a callback of the MQTT client failed")

    def _enter(self) -> None:
        if self._stopped or self._connected:
            return
        self._error = self._broker.enter(self, set(self._subscriptions))
        if self._error is None:
            self._connected = True
            self._tell(True)

    def _lost(self) -> None:
        self._tell(False)

    def _tell(self, connected: bool) -> None:
        for callback in self._on_connection:
            callback(connected)

    def _dispatch(self, received: Received) -> None:
        for topic_filter, callbacks in self._subscriptions.items():
            if topic_matches_sub(topic_filter, received.topic):
                for callback in callbacks:
                    callback(received)
