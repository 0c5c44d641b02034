"""The cloud's own authority: which edge servers may report. The same desk, codes and certificates as an edge has."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path

from starlette.types import Scope

from cloud.store import CloudStore
from node.clock import Clock
from node.errors import SignatureRefused
from node.trust.authority import FOLDER, Authority
from node.trust.desk import CODE_MINUTES, Desk
from node.trust.records import DeviceRow, Records, RequestRow
from node.trust.registry import Registry
from node.trust.server_certificate import ServerCertificate
from node.trust.signed_request import RequestVerifier
from node.trust.wire import JoinAsk, RenewAsk, Standing
from protocol.ids import DeviceId

ROLE = "edge"
# Nobody speaks MQTT with the cloud; the field of an edge's answer stays what it is by default.
_NO_BROKER = 8883


class CloudTrust:
    """Safe from any thread; `kinflow cloud ...` may have the same files open beside the server."""

    def __init__(  # noqa: PLR0917 (what an authority is made of)
        self, home: Path, cloud: DeviceId, clock: Clock, store: CloudStore, names: Iterable[str] = (), port: int = 8802
    ) -> None:
        """names: the host names and addresses by which edges and people reach this server."""
        self._clock, self._store, self._port = clock, store, port
        self.names = frozenset(names)
        self.authority = Authority(home / FOLDER, cloud, clock.wall_ms())
        self.records = Records(home / FOLDER)
        self.registry = Registry(self.authority, self.records, clock.wall_ms)
        self.desk = Desk(self.registry)
        self._verifier = RequestVerifier(self.authority.root, self.registry.allowed)
        self._certificate = ServerCertificate(self.authority)
        self.renew_server()

    def make_code(self, minutes: float = CODE_MINUTES, edge: str = "", replaces: bool = False) -> str:
        """A code that lets one edge server in, at once: whoever makes it here has agreed by that."""
        text, _ = self.desk.make_code(minutes, device=edge, role=ROLE, approved=True, replaces=replaces)
        return text

    def join(self, ask: JoinAsk, address: str) -> RequestRow:
        """Raises what the desk raises."""
        row = self.desk.join(ask, address)
        if row.state == "issued":
            self._store.join(row.device, self._joined_ms(row.device))
        return row

    def renew(self, scope: Scope, body: bytes, ask: RenewAsk) -> Standing:
        """Raises SignatureRefused (KF169) or CsrRefused (KF165)."""
        known = self._verifier.verify_scope(scope, body, self._clock.wall_ms())
        certificate = self.registry.renew(known, ask.csr) if ask.csr else ""
        return self.standing(self.registry.adopted(known), certificate)

    def revoke(self, edge: DeviceId) -> bool:
        """Whether there was one. It holds from this moment on."""
        count = self.registry.revoke(edge)
        return self._store.revoke(edge, self._clock.wall_ms()) or count > 0

    def standing(self, row: RequestRow | DeviceRow, certificate: str) -> Standing:
        return Standing(
            device=row.device,
            edge=self.authority.edge,
            role=row.role,
            hosts=tuple(sorted(self.names))[:16],
            http_port=self._port,
            mqtts_port=_NO_BROKER,
            life_ms=round(self.registry.life.total_seconds() * 1000),
            now_ms=self._clock.wall_ms(),
            certificate=certificate,
        )

    def edge_of(self, scope: Scope, body: bytes) -> str | None:
        """The edge server that a request proves to come from, None when it proves none."""
        try:
            known = self._verifier.verify_scope(scope, body, self._clock.wall_ms())
        except SignatureRefused:
            return None
        if known.role != ROLE:
            return None
        # Records that were restored from before it joined: its certificate speaks for it, and it is known again.
        self._store.join(known.device, self.registry.adopted(known).joined_ms)
        return known.device

    def server_context(self) -> ssl.SSLContext:
        """For HTTPS."""
        return self._certificate.context()

    def renew_server(self) -> bool:
        """See to our own certificate; whether a new one was made, which HTTPS then shows at once."""
        return self._certificate.renew(self.names, self._clock.wall_ms())

    def close(self) -> None:
        self.records.close()

    def _joined_ms(self, edge: DeviceId) -> int:
        row = self.registry.device(edge)
        assert row is not None
        return row.joined_ms
