"""A request that proves which device sent it: signed by the device's key over all that matters, good once.

Four headers: the certificate, the time by the edge server's clock, a nonce, and the signature over method, path, body,
time, nonce and the root it is meant for. So it works through a proxy that ends TLS, and for an expired certificate.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from node.errors import CredentialsUnusable, SignatureRefused
from node.trust.certificates import Facts, facts, is_issued_by
from node.trust.keys import PrivateKey, spki_digest

CERTIFICATE, AT, NONCE, SIGNATURE = "kinflow-certificate", "kinflow-at", "kinflow-nonce", "kinflow-signature"
WITHIN_MS = 300_000
NONCES_KEPT = 100_000
# A device asks four times an hour, and the other edge server of a pair every two seconds.
NONCES_OF_ONE = 2_000
_LONGEST = 4096


def sign_request(  # noqa: PLR0917 (what is signed)
    key: PrivateKey, certificate: str, root: str, method: str, path: str, body: bytes, at_ms: int
) -> dict[str, str]:
    """The headers to send. certificate, root: PEM. path: with its query. at_ms: the time by the edge server's clock."""
    nonce = secrets.token_hex(16)
    text = _text(_pin(x509.load_pem_x509_certificate(root.encode())), method, path, body, at_ms, nonce)
    der = x509.load_pem_x509_certificate(certificate.encode()).public_bytes(serialization.Encoding.DER)
    return {
        CERTIFICATE: base64.b64encode(der).decode("ascii"),
        AT: str(at_ms),
        NONCE: nonce,
        SIGNATURE: base64.b64encode(key.sign(text, ec.ECDSA(hashes.SHA256()))).decode("ascii"),
    }


@dataclass
class RequestVerifier:
    """allowed: whether the device of a certificate that is ours may ask at this time (milliseconds); it tells why not,
    "" for yes. meant_for: the root for which a request has to be meant, where that is another one. Thread-safe."""

    root: x509.Certificate
    allowed: Callable[[Facts, int], str]
    meant_for: x509.Certificate | None = None
    _seen: dict[str, dict[str, int]] = field(default_factory=dict)
    _held: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def verify(self, method: str, path: str, headers: Mapping[str, str], body: bytes, now_ms: int) -> Facts:
        """Who sent this. Raises SignatureRefused (KF169)."""
        certificate, at_ms, nonce, signature = _read(headers)
        if not is_issued_by(certificate, self.root):
            raise SignatureRefused(detail="the certificate is not of this authority")
        try:
            known = facts(certificate)
            text = _text(_pin(self.meant_for or self.root), method, path, body, at_ms, nonce)
            known.key.verify(signature, text, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, CredentialsUnusable) as error:
            raise SignatureRefused(detail="the signature does not fit") from error
        if abs(now_ms - at_ms) > WITHIN_MS:
            raise SignatureRefused(detail="its time is more than five minutes off")
        refusal = self.allowed(known, now_ms)
        if refusal:
            raise SignatureRefused(detail=refusal)
        self._once(known.device, nonce, now_ms)
        return known

    def verify_scope(self, scope: Mapping[str, Any], body: bytes, now_ms: int) -> Facts:
        """The same for a request as ASGI describes it. Raises SignatureRefused (KF169)."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope.get("query_string", b"").decode("latin-1")
        path = f"{scope['path']}?{query}" if query else scope["path"]
        return self.verify(scope["method"], path, headers, body, now_ms)

    def _once(self, device: str, nonce: str, now_ms: int) -> None:
        """What one device asks too often must not keep the others from asking."""
        with self._lock:
            own = self._seen.setdefault(device, {})
            if nonce in own:
                raise SignatureRefused(detail="it came before")
            if len(own) >= NONCES_OF_ONE or self._held >= NONCES_KEPT:
                self._forget(now_ms)
                own = self._seen.setdefault(device, {})
            if len(own) >= NONCES_OF_ONE or self._held >= NONCES_KEPT:
                raise SignatureRefused(detail="too many requests came within ten minutes")
            own[nonce] = now_ms + 2 * WITHIN_MS
            self._held += 1

    def _forget(self, now_ms: int) -> None:
        left = {
            device: {nonce: until for nonce, until in own.items() if until > now_ms}
            for device, own in self._seen.items()
        }
        self._seen = {device: own for device, own in left.items() if own}
        self._held = sum(map(len, self._seen.values()))


def _read(headers: Mapping[str, str]) -> tuple[x509.Certificate, int, str, bytes]:
    try:
        given = {name: headers[name] for name in (CERTIFICATE, AT, NONCE, SIGNATURE)}
    except KeyError as error:
        raise SignatureRefused(detail="it is not signed") from error
    try:
        if any(len(value) > _LONGEST for value in given.values()) or len(given[NONCE]) != 32:
            raise ValueError
        certificate = x509.load_der_x509_certificate(base64.b64decode(given[CERTIFICATE], validate=True))
        return certificate, int(given[AT]), given[NONCE], base64.b64decode(given[SIGNATURE], validate=True)
    except ValueError as error:
        raise SignatureRefused(detail="its headers can't be read") from error


def _text(  # noqa: PLR0917 (what is signed)
    pin: bytes, method: str, path: str, body: bytes, at_ms: int, nonce: str
) -> bytes:
    parts = ("kinflow-request-1", pin.hex(), method.upper(), path, hashlib.sha256(body).hexdigest(), str(at_ms), nonce)
    return "\n".join(parts).encode()


def _pin(root: x509.Certificate) -> bytes:
    key = root.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise CredentialsUnusable(path="the root", detail="its key is no EC key")
    return spki_digest(key)
