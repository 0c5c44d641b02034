"""The two edge servers of a pair tell one another who has joined, so that a device may come to either at once.

Both have the same root. Each asks the other every two seconds, by a request that its own server key signs.
"""

from __future__ import annotations

import threading

import structlog

from edge_server.pair.peer import Peer
from edge_server.trust.trust import EdgeTrust
from node.errors import EdgeNotReached
from node.trust.asking import BASE, ask_time, asker_of
from node.trust.keys import read_key
from node.trust.signed_request import sign_request
from node.trust.wire import Members
from protocol.errors import KinflowError

EVERY_S = 2.0
# Thousands of devices with the certificates of three months each.
MEMBERS_LIMIT = 64 * 1024 * 1024

log = structlog.get_logger("edge.trust")


class PairSync:
    """On a thread of its own from start() to stop(). What it takes over has effect as any other change (TrustWatch)."""

    def __init__(self, trust: EdgeTrust, peer: Peer, every_s: float = EVERY_S) -> None:
        self._trust, self._peer, self._every_s = trust, peer, every_s
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
        failure: KinflowError = EdgeNotReached(host=self._peer.edge, detail="it has no address")
        for host in self._peer.hosts:
            try:
                return self._trust.registry.merge(self._ask(host))
            except KinflowError as error:
                failure = error
        raise failure

    def _ask(self, host: str) -> Members:
        authority, path = self._trust.authority, "/members"
        asker = asker_of(host, self._peer.http_port, authority.ca, MEMBERS_LIMIT)
        key = read_key(authority.folder / "server.key")
        certificate = (authority.folder / "server.pem").read_text("ascii")
        at_ms = ask_time(asker, authority.root)
        return asker.get_signed(
            path, Members, sign_request(key, certificate, authority.ca, "GET", BASE + path, b"", at_ms)
        )

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
