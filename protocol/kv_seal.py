"""How two machines that hold one secret know each other, and seal what they say: no I/O, no clock.

Both show a fresh X25519 key, and prove the secret by an HMAC over both keys (so that nothing that was heard before can
be said again). From the agreed key and the secret comes one key for each direction; each frame is sealed with
ChaCha20-Poly1305 under its running number, and opens in that order alone: a frame that was changed, left out, repeated
or sent back is none. What somebody recorded stays shut when the secret is stolen later.

    client: magic, version, key           -> server
    server: magic, version, key, its proof -> client
    client: its proof                      -> server
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protocol.errors import MessageMalformed, MessageVersionUnknown
from protocol.kv_frames import LENGTH, TOPIC, VERSION, check_size

MAGIC = b"KFKV"
HEAD = struct.Struct(">4sH")
KEY_BYTES = PROOF_BYTES = 32
HELLO_BYTES = HEAD.size + KEY_BYTES
TAG_BYTES = 16
SHORTEST_SECRET = 32


@dataclass(frozen=True)
class Agreed:
    """client_proof, server_proof: of who holds the secret. to_server, to_client: keys of frames in that direction."""

    client_proof: bytes
    server_proof: bytes
    to_server: bytes
    to_client: bytes


def hello(own: X25519PrivateKey) -> bytes:
    return HEAD.pack(MAGIC, VERSION) + own.public_key().public_bytes_raw()


def key_of(said: bytes) -> bytes:
    """The other side's key. Raises MessageMalformed (KF11), MessageVersionUnknown (KF13)."""
    if len(said) != HELLO_BYTES or not said.startswith(MAGIC):
        raise MessageMalformed(topic=TOPIC, detail="what came does not begin as this protocol does")
    _, version = HEAD.unpack_from(said)
    if version != VERSION:
        raise MessageVersionUnknown(topic=TOPIC, version=version, supported=VERSION)
    return said[HEAD.size :]


def agree(secret: bytes, own: X25519PrivateKey, client_key: bytes, server_key: bytes) -> Agreed:
    """client_key, server_key: what each side showed, own's among them. Raises MessageMalformed (KF11) for a key that
    is none."""
    mine = own.public_key().public_bytes_raw()
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(client_key if mine == server_key else server_key))
    except ValueError as error:
        raise MessageMalformed(topic=TOPIC, detail="the key that came is none") from error
    said = HEAD.pack(MAGIC, VERSION) + client_key + server_key
    keys = HKDF(hashes.SHA256(), 2 * KEY_BYTES, salt=secret, info=said).derive(shared)
    return Agreed(
        hmac.digest(secret, b"client" + said, "sha256"),
        hmac.digest(secret, b"server" + said, "sha256"),
        keys[:KEY_BYTES],
        keys[KEY_BYTES:],
    )


class Sealer:
    """Bodies of frames to bytes for the wire, in one direction."""

    def __init__(self, key: bytes) -> None:
        self._cipher, self._number = ChaCha20Poly1305(key), 0

    def seal(self, body: bytes) -> bytes:
        """Raises MessageTooLarge (KF12)."""
        check_size(len(body))
        head = LENGTH.pack(len(body) + TAG_BYTES)
        sealed = self._cipher.encrypt(_nonce(self._number), body, head)
        self._number += 1
        return head + sealed


class Opener:
    """And back. After one error nothing opens any more."""

    def __init__(self, key: bytes) -> None:
        self._cipher, self._number = ChaCha20Poly1305(key), 0

    @staticmethod
    def size_of(head: bytes) -> int:
        """How many bytes follow. Raises MessageTooLarge (KF12), MessageMalformed (KF11)."""
        size = int(LENGTH.unpack(head)[0])
        check_size(size - TAG_BYTES)
        if size < TAG_BYTES:
            raise MessageMalformed(topic=TOPIC, detail="a frame too short for its seal")
        return size

    def open(self, head: bytes, sealed: bytes) -> bytes:
        """Raises MessageMalformed (KF11)."""
        number, self._number = self._number, -1
        if number < 0:
            raise MessageMalformed(topic=TOPIC, detail="a frame behind a broken one")
        try:
            body = self._cipher.decrypt(_nonce(number), sealed, head)
        except InvalidTag as error:
            raise MessageMalformed(topic=TOPIC, detail="a frame's seal is broken") from error
        self._number = number + 1
        return body


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")
