"""The edge server's time, signed with the device's own nonce: true for whoever believes the root, on any connection."""

from __future__ import annotations

import base64
from typing import Annotated

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Meta, Struct

from node.errors import CredentialsUnusable, EdgeNotPinned
from node.trust.authority import Authority
from node.trust.certificates import facts, is_issued_by

NONCE_PATTERN = r"^[0-9a-f]{32}$"


class SignedTime(Struct, frozen=True, kw_only=True):
    """certificate: the server's, PEM. signature: base64 of ECDSA with SHA-256 over the text that _text makes."""

    nonce: Annotated[str, Meta(pattern=NONCE_PATTERN)]
    now_ms: int
    certificate: Annotated[str, Meta(max_length=8192)]
    signature: Annotated[str, Meta(max_length=400)]


def sign_time(authority: Authority, nonce: str, now_ms: int) -> SignedTime:
    certificate = (authority.folder / "server.pem").read_text("ascii")
    signature = base64.b64encode(authority.sign(_text(nonce, now_ms))).decode("ascii")
    return SignedTime(nonce=nonce, now_ms=now_ms, certificate=certificate, signature=signature)


def read_time(said: SignedTime, nonce: str, root: x509.Certificate, host: str) -> int:
    """Milliseconds since 1970. Raises EdgeNotPinned (KF161) when it isn't signed by an edge server of this root, with
    our nonce."""
    try:
        certificate = x509.load_pem_x509_certificate(said.certificate.encode())
        known = facts(certificate)
        if said.nonce != nonce or known.role != "edge" or not is_issued_by(certificate, root):
            raise EdgeNotPinned(host=host)
        signature = base64.b64decode(said.signature, validate=True)
        known.key.verify(signature, _text(nonce, said.now_ms), ec.ECDSA(hashes.SHA256()))
    except (ValueError, InvalidSignature, CredentialsUnusable) as error:
        raise EdgeNotPinned(host=host) from error
    return said.now_ms


def _text(nonce: str, now_ms: int) -> bytes:
    return f"kinflow-time-1\n{nonce}\n{now_ms}".encode()
