"""The two edge servers of a pair tell one another who has joined, so that a device may come to either at once.

Both have the same root. Each asks the other again and again, by a request that its own server key signs.
"""

from __future__ import annotations

from edge_server.pair.asking import PeerAsker
from edge_server.pair.peer import Peer
from edge_server.trust.trust import EdgeTrust
from node.trust.wire import Members

# Thousands of devices with the certificates of three months each.
MEMBERS_LIMIT = 64 * 1024 * 1024


class PairSync:
    """What it takes over has effect as any other change (TrustWatch)."""

    def __init__(self, trust: EdgeTrust, peer: Peer) -> None:
        self._trust = trust
        self._asker = PeerAsker(trust.authority, peer)

    def pull(self) -> bool:
        """Ask once; whether it changed who may come in. Raises what asking raises."""
        return self._trust.registry.merge(self._asker.ask("/members", Members, MEMBERS_LIMIT))
