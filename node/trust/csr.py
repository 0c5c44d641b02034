"""Certificate signing requests: what a device asks for, and the proof that it holds the key."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from node.errors import CsrRefused
from node.trust.keys import PrivateKey, PublicKey, spki_digest
from protocol.ids import DeviceId, is_slug
from protocol.messages.presence import Role

LIMIT_BYTES = 4096
ROLES: tuple[Role, ...] = ("agent", "controller", "vehicle", "edge")


@dataclass(frozen=True)
class Request:
    """digest: SHA-256 of the whole request, key_digest: of its public key."""

    device: DeviceId
    role: Role
    key: PublicKey
    key_digest: bytes
    digest: bytes


def make_csr(key: PrivateKey, device: DeviceId, role: Role) -> str:
    """PEM. The name is the device's id, the unit its role."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, device),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, role),
        ]
    )
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode("ascii")


def read_csr(pem: str) -> Request:
    """Only the name, the role and the key are taken; what else is asked for is ignored. Raises CsrRefused (KF165)."""
    if len(pem) > LIMIT_BYTES:
        raise CsrRefused(detail=f"it is longer than {LIMIT_BYTES} characters")
    try:
        csr = x509.load_pem_x509_csr(pem.encode("ascii"))
        key, signed = csr.public_key(), csr.is_signature_valid
        names = {one.oid: str(one.value) for one in csr.subject}
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise CsrRefused(detail="it can't be read") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CsrRefused(detail="its key is no EC P-256 key")
    if not signed:
        raise CsrRefused(detail="its signature is not by its key")
    device, role = names.get(NameOID.COMMON_NAME, ""), names.get(NameOID.ORGANIZATIONAL_UNIT_NAME, "")
    if not is_slug(device):
        raise CsrRefused(detail="its name is no device id")
    if role not in ROLES:
        raise CsrRefused(detail="it names no role")
    digest = hashlib.sha256(csr.public_bytes(serialization.Encoding.DER)).digest()
    return Request(DeviceId(device), role, key, spki_digest(key), digest)
