"""Certificates as Kinflow makes them: one root, servers and devices below it, and the list of revoked ones. Pure.

Clocks may be wrong, so nothing begins "now": whatever is made is good from BACKDATED_TO on. That takes nothing away,
since a certificate that doesn't exist yet can't be used, and what ends it is its end or its revocation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from node.errors import CredentialsUnusable
from node.trust.csr import ROLES
from node.trust.keys import PrivateKey, PublicKey, spki_digest
from protocol.ids import DeviceId, is_slug
from protocol.messages.presence import Role

BACKDATED_TO = datetime(1970, 1, 1, tzinfo=UTC)
# No clock of ours is earlier: a machine that believes so has lost its time, and what it issues must outlive that.
EARLIEST_NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROOT_LIFE = timedelta(days=30 * 365)
SERVER_LIFE = timedelta(days=90)
DEVICE_LIFE = timedelta(days=7)
_ORGANISATION = "Kinflow"
_SERVER, _CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Facts:
    """What a certificate says. Times in milliseconds since 1970."""

    device: DeviceId
    role: Role
    serial: str
    expires_ms: int
    key: PublicKey
    key_digest: bytes


@dataclass(frozen=True)
class Issuer:
    """The root: its key, and its certificate."""

    key: PrivateKey
    certificate: x509.Certificate


def make_root(key: PrivateKey, edge: DeviceId, now_ms: int) -> x509.Certificate:
    name = _name(f"{edge} authority")
    builder = _builder(name, name, key.public_key(), now_ms, ROOT_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return builder.sign(key, hashes.SHA256())


def make_server(  # noqa: PLR0917 (what a certificate says)
    issuer: Issuer, key: PublicKey, edge: DeviceId, names: Iterable[str], now_ms: int, life: timedelta = SERVER_LIFE
) -> x509.Certificate:
    """names: the host names and addresses under which people call it. Devices do not go by them (node/trust/tls.py)."""
    builder = _leaf(issuer, key, edge, "edge", now_ms, life)
    return _sign(issuer, builder, [_SERVER, _CLIENT], names)


def make_device(  # noqa: PLR0917 (what a certificate says)
    issuer: Issuer, key: PublicKey, device: DeviceId, role: Role, now_ms: int, life: timedelta = DEVICE_LIFE
) -> x509.Certificate:
    """An edge's is good for a server too: the second one of a pair joins like a device."""
    builder = _leaf(issuer, key, device, role, now_ms, life)
    return _sign(issuer, builder, [_SERVER, _CLIENT] if role == "edge" else [_CLIENT], ())


def make_crl(issuer: Issuer, serials: Iterable[tuple[str, int]], number: int) -> x509.CertificateRevocationList:
    """serials: each revoked certificate's and when, in milliseconds. It never runs out by itself: a list that did
    would shut out every device of a site whose edge server stood still."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
    builder = builder.last_update(BACKDATED_TO).next_update(issuer.certificate.not_valid_after_utc)
    builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    builder = builder.add_extension(_authority_key(issuer), critical=False)
    for serial, at_ms in serials:
        revoked = x509.RevokedCertificateBuilder().serial_number(int(serial, 16))
        builder = builder.add_revoked_certificate(revoked.revocation_date(_now(at_ms)).build())
    return builder.sign(issuer.key, hashes.SHA256())


def pem(made: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    return made.public_bytes(serialization.Encoding.PEM)


def facts(certificate: x509.Certificate) -> Facts:
    """Raises CredentialsUnusable (KF164) when it is none of ours."""
    names = {one.oid: str(one.value) for one in certificate.subject}
    device, role = names.get(NameOID.COMMON_NAME, ""), names.get(NameOID.ORGANIZATIONAL_UNIT_NAME, "")
    key = certificate.public_key()
    if not is_slug(device) or role not in ROLES or not isinstance(key, ec.EllipticCurvePublicKey):
        raise CredentialsUnusable(path="a certificate", detail="it is none of Kinflow's")
    return Facts(
        DeviceId(device),
        role,
        serial_of(certificate),
        expires_ms(certificate),
        key,
        spki_digest(key),
    )


def serial_of(certificate: x509.Certificate) -> str:
    return f"{certificate.serial_number:x}"


def expires_ms(certificate: x509.Certificate) -> int:
    return round(certificate.not_valid_after_utc.timestamp() * 1000)


def is_issued_by(certificate: x509.Certificate, root: x509.Certificate) -> bool:
    """By signature and name. Times and revocation are other questions."""
    try:
        certificate.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _leaf(  # noqa: PLR0917 (what a certificate says)
    issuer: Issuer, key: PublicKey, device: DeviceId, role: Role, now_ms: int, life: timedelta
) -> x509.CertificateBuilder:
    builder = _builder(_name(device, role), issuer.certificate.subject, key, now_ms, life)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    return builder.add_extension(_authority_key(issuer), critical=False)


def _sign(
    issuer: Issuer, builder: x509.CertificateBuilder, purposes: list[x509.ObjectIdentifier], names: Iterable[str]
) -> x509.Certificate:
    builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    alternatives = [_general_name(name) for name in sorted(set(names))]
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(issuer.key, hashes.SHA256())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name.partition("%")[0]))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, now_ms: int, life: timedelta
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(BACKDATED_TO).not_valid_after(_now(now_ms) + life)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _now(now_ms: int) -> datetime:
    return max(datetime.fromtimestamp(now_ms // 1000, UTC), EARLIEST_NOW)


def _name(common: str, role: Role | None = None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION)]
    if role is not None:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, role))
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _authority_key(issuer: Issuer) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
