"""The port between Kinflow and an MQTT broker. Only MQTT 3.1.1 features, so that any broker will do.

Sessions are clean everywhere: what must survive lies in an outbox, and what moves traffic must not be queued.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from protocol.errors import KinflowError
from protocol.ids import DeviceId


@dataclass(frozen=True)
class BrokerAddress:
    """Where a broker is and how to enter. `mqtt://user@host:1883` or `mqtts://…`; the password never shows in repr."""

    host: str = "127.0.0.1"
    port: int = 1883
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Will:
    """What the broker publishes when the connection dies: retained, QoS 1."""

    topic: str
    payload: bytes


@dataclass(frozen=True)
class Received:
    topic: str
    payload: bytes
    retained: bool


OnMessage = Callable[[Received], None]
OnConnection = Callable[[bool], None]


class BrokerClient(Protocol):
    """One connection, kept up with back-off. Callbacks come on the client's own thread and must not block.

    Subscriptions made here are made again after each reconnect, before on_connection(True) is called.
    """

    def start(self) -> None:
        """Begin to connect; returns at once."""

    def stop(self) -> None:
        """Disconnect in good order (the will is not sent) and end the thread."""

    def subscribe(self, topic_filter: str, qos: int, on_message: OnMessage) -> None: ...

    def publish(self, topic: str, payload: bytes, qos: int, retained: bool = False) -> bool:
        """Hand one message to the connection. False, and nothing is kept, when the link is down or its window full."""

    def watch(self, on_connection: OnConnection) -> None:
        """Call back with True after each connection, and with False after each loss. Call before start()."""

    @property
    def connected(self) -> bool: ...

    @property
    def error(self) -> KinflowError | None:
        """Why the last attempt failed: BrokerRefused (KF42) or BrokerUnreachable (KF43); None while connected."""


class BrokerHost(Protocol):
    """A broker that Kinflow runs itself: for the one user `kinflow` on loopback, and for joined devices by TLS."""

    @property
    def address(self) -> BrokerAddress: ...

    def start(self) -> None:
        """Return once it accepts connections. Raises BrokerNotInstalled, PortInUse or BrokerFailed."""

    def revive(self) -> bool:
        """Start it again if it ended by itself, and tell whether it had. Call it now and then from the thread that
        called start(). Raises what start() raises; the next call tries again."""

    def reload(self) -> None:
        """Read again who may enter by TLS, and hold to it from now on. From any thread. Raises BrokerTrustUnusable,
        BrokerFailed or BrokerUnreachable."""

    def kick(self, device: DeviceId) -> None:
        """End a device's connection by TLS. From any thread. Raises BrokerUnreachable."""

    def stop(self) -> None: ...
