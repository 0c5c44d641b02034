"""The two edge servers of a pair tell one another who has joined, so that a device may come to either at once.

Both have the same root. Each asks the other every two seconds, by a request that its own server key signs.
"""

from __future__ import annotations

import threading

import structlog

from edge_server.pair.asking import PeerAsker
from edge_server.pair.peer import Peer
from edge_server.trust.trust import EdgeTrust
from node.trust.wire import Members

EVERY_S = 2.0
# Thousands of devices with the certificates of three months each.
MEMBERS_LIMIT = 64 * 1024 * 1024

log = structlog.get_logger("edge.trust")


class PairSync:
    """On a thread of its own from start() to stop(). What it takes over has effect as any other change (TrustWatch)."""

    def __init__(self, trust: EdgeTrust, peer: Peer, every_s: float = EVERY_S) -> None:
        self._trust, self._every_s = trust, every_s
        self._asker = PeerAsker(trust.authority, peer)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pair-sync", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def pull(self) -> bool:
        """Ask once; whether it changed who may come in. Raises what asking raises."""
        return self._trust.registry.merge(self._asker.ask("/members", Members, MEMBERS_LIMIT))

    def _run(self) -> None:
        failing = False
        while not self._stopping.wait(self._every_s):
            try:
                self.pull()
                failing = False
            except Exception as error:
                if not failing:
                    log.warning(
                        "the other edge server of the pair was not asked who has joined", detail=str(error)[:300]
                    )
                failing = True
