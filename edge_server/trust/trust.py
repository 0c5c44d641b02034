"""The edge server's authority, put together: files, records, desk, and what servers need of it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from node.broker.acl import Member
from node.broker.tls import BrokerTls
from node.clock import Clock
from node.trust.authority import FOLDER, Authority
from node.trust.desk import CODE_MINUTES, Desk
from node.trust.records import DeviceRow, Records, RequestRow
from node.trust.registry import Registry
from node.trust.server_certificate import ServerCertificate
from node.trust.signed_request import RequestVerifier
from node.trust.wire import Standing
from protocol.ids import DeviceId
from protocol.topics import DEFAULT_PREFIX

# By these the port speaks plain HTTP, as nobody else can listen there; by every other address it speaks HTTPS.
PLAIN_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

_ADDRESS = "address"


@dataclass(frozen=True)
class TrustOptions:
    """host: where devices come in. takes_joined: whether our broker can let them in. addresses: by which they
    reach it, the best first; names: for people's browsers too. life_days: of devices' certificates. code_minutes: how
    long a join code is good unless somebody says otherwise."""

    host: str = "127.0.0.1"
    http_port: int = 8800
    mqtts_port: int = 8883
    takes_joined: bool = True
    addresses: tuple[str, ...] = ()
    names: frozenset[str] = field(default_factory=frozenset)
    life_days: float = 7.0
    code_minutes: float = CODE_MINUTES


class EdgeTrust:
    """Safe from any thread. Another process may have the same files open: `kinflow edge …` works beside the server."""

    def __init__(
        self, home: Path, device: DeviceId, clock: Clock, options: TrustOptions | None = None, *, serves: bool = True
    ) -> None:
        """serves: this process is the edge server itself, rather than a command beside it."""
        self.options = options or TrustOptions()
        self.clock = clock
        self.authority = Authority(home / FOLDER, device, clock.wall_ms())
        self.records = Records(home / FOLDER)
        self.registry = Registry(self.authority, self.records, clock.wall_ms, timedelta(days=self.options.life_days))
        self.desk = Desk(self.registry)
        self.verifier = RequestVerifier(self.authority.root, self.registry.allowed)
        self._certificate = ServerCertificate(self.authority)
        if serves:
            self.renew_server()
            self.records.set_meta(_ADDRESS, self.address().encode())

    @property
    def is_open(self) -> bool:
        """Whether devices may join: not while nobody but this machine can reach us, or our broker has no such door."""
        return self.options.takes_joined and self.options.host not in PLAIN_HOSTS

    def renew_server(self) -> bool:
        """See to our own certificate; whether a new one was made, which HTTPS then shows at once."""
        return self._certificate.renew(self._names(), self.clock.wall_ms())

    def server_context(self) -> ssl.SSLContext:
        """For HTTPS."""
        return self._certificate.context()

    def door(self, prefix: str = DEFAULT_PREFIX) -> BrokerTls | None:
        """The broker's door for joined devices; None while nobody but this machine can reach us."""
        if not self.is_open:
            return None
        folder = self.authority.folder
        return BrokerTls(
            ca=folder / "ca.pem",
            certificate=folder / "server.pem",
            key=folder / "server.key",
            crl=folder / "crl.pem",
            members=self.members,
            port=self.options.mqtts_port,
            bind=self.options.host,
            prefix=prefix,
        )

    def members(self) -> Iterator[Member]:
        for row in self.registry.devices():
            if row.state == "joined":
                yield Member(row.device, row.role)

    def standing(self, row: DeviceRow | RequestRow, certificate: str = "") -> Standing:
        device = row if isinstance(row, DeviceRow) else self.registry.device(row.device)
        return Standing(
            device=row.device,
            edge=self.authority.edge,
            role=row.role,
            hosts=self.options.addresses[:12],
            http_port=self.options.http_port,
            mqtts_port=self.options.mqtts_port,
            life_ms=round(self.options.life_days * 86_400_000),
            now_ms=self.clock.wall_ms(),
            name=device.name if device is not None else "",
            certificate=certificate,
            move_to=device.move_to if device is not None else "",
            move_code=device.move_code if device is not None else "",
        )

    def address(self) -> str:
        """HOST:PORT for people to type, and for the QR."""
        if not self.options.addresses and (told := self.records.meta(_ADDRESS)):
            return told.decode()
        host = next(iter(self.options.addresses), self.options.host)
        return f"[{host}]:{self.options.http_port}" if ":" in host else f"{host}:{self.options.http_port}"

    def close(self) -> None:
        self.records.close()

    def _names(self) -> frozenset[str]:
        own = {self.authority.edge, f"{self.authority.edge}.local", "localhost", "127.0.0.1", socket.gethostname()}
        found = own | self.options.names | set(self.options.addresses)
        return frozenset(name for name in found if _is_certifiable(name))


def _is_certifiable(name: str) -> bool:
    return bool(name) and name.isascii() and name not in {"0.0.0.0", "::"} and len(name) <= 253  # noqa: S104
