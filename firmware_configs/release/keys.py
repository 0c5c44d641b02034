"""Signing keys: Ed25519, encrypted with a passphrase, in a file that is meant to live off the network."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.signer import CryptoSigner, SSlibKey

from firmware_configs.errors import ReleaseRefused

SHORTEST_PASSPHRASE = 8


def make_key(path: Path, passphrase: str) -> SSlibKey:
    """Write `path` (owner only, never over another file) and `path`.pub. Raises ReleaseRefused (KF239)."""
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise ReleaseRefused(detail=f"a passphrase has at least {SHORTEST_PASSPHRASE} characters")
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode()))
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(private)
    except FileExistsError as error:
        raise ReleaseRefused(detail=f"{path} is there already, and a key is never written over") from error
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path.with_name(f"{path.name}.pub").write_bytes(public)
    return SSlibKey.from_crypto(key.public_key())


def load_signer(path: Path, passphrase: str) -> CryptoSigner:
    """Raises ReleaseRefused (KF239) for a wrong passphrase or another kind of file."""
    try:
        key = load_pem_private_key(path.read_bytes(), passphrase.encode())
    except (OSError, ValueError, TypeError) as error:
        raise ReleaseRefused(detail=f"the key {path} can't be opened with this passphrase") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ReleaseRefused(detail=f"{path} is no Ed25519 key")
    return CryptoSigner(key)


def load_public(path: Path) -> SSlibKey:
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ReleaseRefused(detail=f"{path} is no public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ReleaseRefused(detail=f"{path} is no Ed25519 key")
    return SSlibKey.from_crypto(key)
