"""An authority: the root's key and what it has signed, as files for those who serve. Used by the edge server and above.

Files in its folder: ca.key (0600), ca.pem, server.key (0600), server.pem, crl.pem. What was issued to whom stands in
authority.db (node/trust/records.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from node.errors import CredentialsUnusable
from node.file_lock import lock_beside
from node.trust import certificates
from node.trust.certificates import DEVICE_LIFE, SERVER_LIFE, Issuer, pem
from node.trust.csr import Request
from node.trust.keys import key_pem, new_key, read_key, spki_digest, write_private, write_whole
from protocol.ids import DeviceId

FOLDER = "authority"


class Authority:
    """Open the authority in a folder, or make it there on first use. edge: whose it is, in the root's name.

    Raises CredentialsUnusable (KF164) when its files are damaged: it never makes a second root by itself, since that
    would shut out every device that has joined. Thread-safe: it keeps nothing but its root.
    """

    def __init__(self, folder: Path, edge: DeviceId, now_ms: int) -> None:
        self.folder = folder
        self.edge = edge
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / "ca.pem").exists():
            self._make_root(now_ms)
        key = read_key(folder / "ca.key")
        try:
            certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        except (OSError, ValueError) as error:
            raise CredentialsUnusable(path=folder / "ca.pem", detail=str(error)) from error
        if spki_digest(key.public_key()) != spki_digest(_public(certificate)):
            raise CredentialsUnusable(path=folder, detail="ca.key and ca.pem don't belong together")
        self._issuer = Issuer(key, certificate)

    @property
    def root(self) -> x509.Certificate:
        return self._issuer.certificate

    @property
    def ca(self) -> str:
        """PEM."""
        return pem(self.root).decode("ascii")

    @property
    def pin(self) -> bytes:
        """SHA-256 of the root's SubjectPublicKeyInfo."""
        return spki_digest(self._issuer.key.public_key())

    def issue(self, request: Request, now_ms: int, life: timedelta = DEVICE_LIFE) -> x509.Certificate:
        return certificates.make_device(self._issuer, request.key, request.device, request.role, now_ms, life)

    def server(self) -> x509.Certificate | None:
        """The certificate that this edge server shows; None when there is none yet that can be read."""
        try:
            return x509.load_pem_x509_certificate((self.folder / "server.pem").read_bytes())
        except (OSError, ValueError):
            return None

    def ensure_server(self, names: Iterable[str], now_ms: int, life: timedelta = SERVER_LIFE) -> bool:
        """See to a server certificate for these names that has at least a third of its life left. Whether a new one
        was made: who serves must then read it again."""
        wanted, found = frozenset(names), self.server()
        if found is not None and self._serves(found, wanted, now_ms, life):
            return False
        key_path = self.folder / "server.key"
        key = read_key(key_path) if key_path.exists() else new_key()
        made = certificates.make_server(self._issuer, key.public_key(), self.edge, wanted, now_ms, life)
        write_private(key_path, key_pem(key))
        write_whole(self.folder / "server.pem", pem(made))
        return True

    def publish_crl(self, revoked: Iterable[tuple[str, int]], number: int) -> None:
        """Write the list of revoked certificates: serials, and when in milliseconds. number: never a smaller one than
        before."""
        write_whole(self.folder / "crl.pem", pem(certificates.make_crl(self._issuer, revoked, number)))

    def sign(self, data: bytes) -> bytes:
        """By the server's key (ECDSA with SHA-256, DER): what server.pem and the root vouch for."""
        return read_key(self.folder / "server.key").sign(data, ec.ECDSA(hashes.SHA256()))

    def issued(self, certificate: x509.Certificate) -> bool:
        return certificates.is_issued_by(certificate, self.root)

    def _serves(self, found: x509.Certificate, wanted: frozenset[str], now_ms: int, life: timedelta) -> bool:
        key_path = self.folder / "server.key"
        if not key_path.exists() or not self.issued(found):
            return False
        if spki_digest(read_key(key_path).public_key()) != spki_digest(_public(found)):
            return False
        left_ms = certificates.expires_ms(found) - now_ms
        return wanted <= _names(found) and left_ms > life.total_seconds() * 1000 / 3

    def _make_root(self, now_ms: int) -> None:
        """The key first: without it a certificate is worth nothing, and a crash between the two begins anew."""
        with lock_beside(self.folder / "ca"):
            if (self.folder / "ca.pem").exists():
                return
            key = new_key()
            write_private(self.folder / "ca.key", key_pem(key))
            write_whole(self.folder / "ca.pem", pem(certificates.make_root(key, self.edge, now_ms)))


def _public(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise CredentialsUnusable(path="a certificate", detail="its key is no EC key")
    return key


def _names(certificate: x509.Certificate) -> frozenset[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(found.get_values_for_type(x509.DNSName)) | {
        str(one) for one in found.get_values_for_type(x509.IPAddress)
    }
