"""Short texts, encrypted and authenticated under a passphrase: scrypt (RFC 7914), then AES-256-GCM, each text with a
nonce and a place of its own, so that none can be swapped for another."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

NONCE_BYTES = 12
SALT_BYTES = 16
# 64 MiB and a quarter of a second on a small board.
COST = 1 << 16
COST_MOST = 1 << 20
_TEST = b"kinflow diary"


class Seal:
    """cost: scrypt's N, with r = 8 and p = 1."""

    def __init__(self, passphrase: str, salt: bytes, cost: int = COST) -> None:
        self._cipher = AESGCM(Scrypt(salt=salt, length=32, n=cost, r=8, p=1).derive(passphrase.encode("utf-8")))

    def close(self, text: bytes, place: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes | None:
        """None where the passphrase is another, or the text was changed or moved."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError):
            return None

    def test(self) -> bytes:
        """What tells later whether a passphrase is the one."""
        return self.close(_TEST, "test")

    def fits(self, test: bytes) -> bool:
        return self.open(test, "test") == _TEST
