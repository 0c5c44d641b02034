"""Asking the other edge server of a pair: by requests that our server key signs, at each of its addresses."""

from __future__ import annotations

from typing import TypeVar

from edge_server.pair.peer import Peer
from node.errors import EdgeNotReached
from node.trust.asking import BASE, ask_time, asker_of
from node.trust.authority import Authority
from node.trust.keys import read_key
from node.trust.signed_request import sign_request
from protocol.errors import KinflowError

T = TypeVar("T")


class PeerAsker:
    """Both have the same root, and so each knows the other by its certificate."""

    def __init__(self, authority: Authority, peer: Peer) -> None:
        self._authority, self._peer = authority, peer

    def ask(self, path: str, kind: type[T], limit: int) -> T:
        """path: with its query; limit: of the answer, in bytes. Raises what asking raises (KF162, KF163)."""
        failure: KinflowError = EdgeNotReached(host=self._peer.edge, detail="it has no address")
        for host in self._peer.hosts:
            try:
                return self._ask(host, path, kind, limit)
            except KinflowError as error:
                failure = error
        raise failure

    def _ask(self, host: str, path: str, kind: type[T], limit: int) -> T:
        authority = self._authority
        asker = asker_of(host, self._peer.http_port, authority.ca, limit)
        key = read_key(authority.folder / "server.key")
        certificate = (authority.folder / "server.pem").read_text("ascii")
        at_ms = ask_time(asker, authority.root)
        return asker.get_signed(
            path, kind, sign_request(key, certificate, authority.ca, "GET", BASE + path, b"", at_ms)
        )
