"""The edge server's own registration on the broker."""

from __future__ import annotations

from node.broker.port import BrokerClient, Received
from node.identity import Identity
from protocol.codec import decode, encode
from protocol.errors import KinflowError
from protocol.messages import Birth, Death
from protocol.topics import DEFAULT_PREFIX, PRESENCE


class Presence:
    """Announces this edge server on each connection. The client must have been made with node.link.death_will()."""

    def __init__(self, identity: Identity, client: BrokerClient, version: str, prefix: str = DEFAULT_PREFIX) -> None:
        self._identity = identity
        self._client = client
        self._version = version
        self._topic = PRESENCE.of(identity.device, prefix=prefix)
        self._leaving = False
        client.subscribe(PRESENCE.every(prefix), PRESENCE.qos, self._hear)
        client.watch(self.connected)

    def connected(self, connected: bool) -> None:
        """A broker was reached, or lost."""
        if connected:
            self._announce()

    def farewell(self) -> None:
        self._leaving = True
        self._publish(Death(**self._identity.live(), reason="shutdown"))

    def _announce(self) -> None:
        self._publish(Birth(**self._identity.live(), role="edge", software=self._version))

    def _publish(self, message: Birth | Death) -> None:
        self._client.publish(self._topic, encode(message), PRESENCE.qos, retained=True)

    def _hear(self, received: Received) -> None:
        """The will of an earlier connection may come late: it must not bury us."""
        if received.topic != self._topic or not received.payload or self._leaving:
            return
        try:
            message = decode(PRESENCE, received.payload)
        except KinflowError:
            return
        if isinstance(message, Death):
            self._announce()
