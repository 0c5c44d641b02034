"""A joined device's process and its credentials: where they lead it, and what to do when they change."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from node.broker.paho_client import PahoClient
from node.broker.port import BrokerAddress
from node.trust.keeper import ASK_EVERY_S, AWAY_S, SETTLE_S, Change, Keeper


class Membership:
    """renamed: told, on the keeper's thread, what people call this device now. settle_s, ask_every_s, away_s: see
    Keeper."""

    def __init__(
        self,
        home: Path,
        renamed: Callable[[str], None],
        settle_s: float = SETTLE_S,
        ask_every_s: float = ASK_EVERY_S,
        away_s: float = AWAY_S,
    ) -> None:
        self._renamed = renamed
        self._client: PahoClient | None = None
        self.keeper = Keeper(
            home, self._changed, self._connected, settle_s=settle_s, ask_every_s=ask_every_s, away_s=away_s
        )

    @property
    def brokers(self) -> tuple[BrokerAddress, ...]:
        return self.keeper.credentials.brokers()

    def tls(self) -> ssl.SSLContext:
        """For one connection: with the certificate as it is now."""
        return self.keeper.credentials.tls()

    def start(self, client: PahoClient) -> None:
        """client: made with `brokers` and `tls`."""
        self._client = client
        self.keeper.start()

    def stop(self) -> None:
        self.keeper.stop()

    def _connected(self) -> bool:
        return self._client is not None and self._client.connected

    def _changed(self, change: Change) -> None:
        if self._client is not None and (change.edge or change.addresses):
            self._client.redirect(change.credentials.brokers(), anew=change.edge)
        if change.name:
            self._renamed(change.credentials.joined.name)
