"""EC P-256 keys: made, kept in a file of their owner's, and known by the hash of their public half."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from node.errors import CredentialsUnusable

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey


def new_key() -> PrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_key(path: Path) -> PrivateKey:
    """Raises CredentialsUnusable (KF164) when it is missing, no P-256 key, or readable by others than its owner."""
    try:
        others = path.stat().st_mode & 0o077
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise CredentialsUnusable(path=path, detail=type(error).__name__) from error
    if others:
        raise CredentialsUnusable(path=path, detail="others than its owner may read it")
    if not isinstance(key, PrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CredentialsUnusable(path=path, detail="it is no EC P-256 key")
    return key


def spki_digest(key: PublicKey) -> bytes:
    """SHA-256 of the public key's SubjectPublicKeyInfo, as RFC 7469 pins it."""
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).digest()


def fingerprint(digest: bytes) -> str:
    """The first 80 bits for people to compare: `3f2a 91c0 …`."""
    text = digest[:10].hex()
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def write_private(path: Path, data: bytes) -> None:
    """Write a file that its owner alone may read, whole or not at all."""
    write_whole(path, data, 0o600)


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file so that a reader, or a power cut, finds the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    finally:
        fresh.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
