"""A certificate authority for tests: as little as a broker needs to know clients by."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


class TestAuthority:
    """Writes `ca.pem`, `crl.pem` and, for each name, `<name>.pem` and `<name>.key` into its folder."""

    __test__ = False

    def __init__(self, folder: Path, name: str = "edge-1") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self._certificates: dict[str, x509.Certificate] = {}
        self._revoked: list[int] = []
        authority = self._builder(self._name, self._key, (-DAY, 99 * DAY))
        authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.ca = folder / "ca.pem"
        self._write(self.ca, authority.sign(self._key, hashes.SHA256()))
        self.crl = folder / "crl.pem"
        self.publish()

    def issue(self, name: str, valid: tuple[timedelta, timedelta] = (-DAY, 9 * DAY)) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        addresses = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        builder = self._builder(_name(name), key, valid).add_extension(addresses, critical=False)
        self._certificates[name] = builder.sign(self._key, hashes.SHA256())
        self._write(self.folder / f"{name}.pem", self._certificates[name])
        plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (self.folder / f"{name}.key").write_bytes(key.private_bytes(*plain))

    def revoke(self, name: str) -> None:
        self._revoked.append(self._certificates[name].serial_number)
        self.publish()

    def publish(self) -> None:
        """The list of revoked certificates. Two of one second carry one time, as they may in life."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        builder = builder.last_update(now - DAY).next_update(now + 9 * DAY)
        for serial in self._revoked:
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            builder = builder.add_revoked_certificate(revoked.build())
        self._write(self.crl, builder.sign(self._key, hashes.SHA256()))

    def context(self, name: str | None, ca: Path | None = None) -> ssl.SSLContext:
        """A client's: trusts this authority (or `ca`), and shows the certificate of `name`."""
        context = ssl.create_default_context(cafile=ca or self.ca)
        if name is not None:
            context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context

    def _builder(self, name, key, valid) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self._name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now + valid[0]).not_valid_after(now + valid[1])

    @staticmethod
    def _write(path: Path, made: x509.Certificate | x509.CertificateRevocationList) -> None:
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
