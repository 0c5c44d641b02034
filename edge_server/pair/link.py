"""This edge server's connection to the other one of its pair, and what is said when that is lost."""

from __future__ import annotations

import ssl

from edge_server.errors import PeerLost
from edge_server.pair.lines import Lines
from edge_server.pair.peer import Peer
from node.broker.paho_client import PahoClient
from node.broker.port import BrokerClient
from node.broker.tls import BrokerTls
from node.identity import Identity
from node.link import death_will
from node.trust.tls import PinnedContext
from protocol.messages import Alarm
from protocol.topics import DEFAULT_PREFIX

# Two edge servers notice one another's end about as fast as a controller's lease lapses.
KEEPALIVE_S = 2
LOST_AFTER_MS = 10_000
LOOK_AROUND_MS = 3_000


class PairLink:
    """lines: both brokers as one client. tls: of our own broker; its certificate is what we show to the other one."""

    def __init__(
        self, peer: Peer, identity: Identity, own: BrokerClient, tls: BrokerTls, prefix: str = DEFAULT_PREFIX
    ) -> None:
        self._peer = peer
        self._identity = identity
        self._tls = tls
        self._client = PahoClient(
            peer.brokers(),
            identity.device,
            death_will(identity, prefix),
            keepalive_s=KEEPALIVE_S,
            tls=self._context,
        )
        self.lines = Lines(identity.device, own, self._client, prefix)
        self._began_ms = self._seen_ms = identity.clock.monotonic_ms()
        self._told = False

    def defers(self) -> bool:
        """The other one comes first, and lives; or we have only just begun, and may not know of it yet."""
        if self._peer.rank == "first":
            return False
        young = self._identity.clock.monotonic_ms() - self._began_ms < LOOK_AROUND_MS
        return young or self._client.connected

    def look(self) -> Alarm | None:
        """To be called every second or so: an alarm when the other one has been away for long, and when it is back."""
        now_ms = self._identity.clock.monotonic_ms()
        if self._client.connected:
            self._seen_ms = now_ms
        lost = now_ms - self._seen_ms >= LOST_AFTER_MS
        if lost == self._told:
            return None
        self._told = lost
        error = PeerLost(edge=self._peer.edge, detail=self._client.error or "no answer")
        return Alarm(
            **self._identity.accounted(),
            alarm="pair-peer-lost",
            subject=self._peer.edge,
            severity="warning",
            active=lost,
            text=(error.cause_text if lost else f"{self._peer.edge} can be reached again")[:500],
            code=error.code,
        )

    def _context(self) -> ssl.SSLContext:
        context = PinnedContext(self._tls.ca.read_text("ascii"), self._identity.clock.wall_ms)
        context.load_cert_chain(self._tls.certificate, self._tls.key)
        return context
