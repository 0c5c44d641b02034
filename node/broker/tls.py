"""The door of a broker for joined devices: TLS, with the certificate as the identity."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from node.broker.acl import Member, acl_text
from node.errors import BrokerTrustUnusable
from node.ports import LOOPBACK
from protocol.topics import DEFAULT_PREFIX

MQTTS_PORT = 8883


@dataclass(frozen=True)
class BrokerTls:
    """ca, certificate, key, crl: PEM files of the edge's authority. members: who may enter, asked at each reload. The
    certificate's subject name is the user name and the client id; a password is not asked for."""

    ca: Path
    certificate: Path
    key: Path
    crl: Path
    members: Callable[[], Iterable[Member]]
    port: int = MQTTS_PORT
    bind: str = LOOPBACK
    prefix: str = DEFAULT_PREFIX

    def acl(self) -> str:
        return acl_text(self.members(), self.prefix)

    def check(self) -> None:
        """Raise BrokerTrustUnusable (KF171) when a file can't be read: mosquitto would start without a list of revoked
        certificates rather than not at all."""
        for path, load in (
            (self.ca, x509.load_pem_x509_certificate),
            (self.certificate, x509.load_pem_x509_certificate),
            (self.crl, x509.load_pem_x509_crl),
        ):
            try:
                load(path.read_bytes())
            except (OSError, ValueError) as error:
                raise BrokerTrustUnusable(path=path, detail=error) from error
        if not self.key.is_file():
            raise BrokerTrustUnusable(path=self.key, detail="there is no such file")
