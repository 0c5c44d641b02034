"""A sealed file: encrypted and authenticated in chunks, so that it is written and read without being held in memory.

Layout: MAGIC, the header's length (2 bytes), the header (JSON, in the clear), 16 bytes that tell a wrong passphrase,
the chunks, END and the file's length (8 bytes). Each chunk is AES-256-GCM in the STREAM construction (Hoang,
Reyhanitabar, Rogaway, Vizár: Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance, 2015): nonce =
7 random bytes, the chunk's number (4 bytes), 1 for the last chunk and else 0. So no chunk can be left out, repeated or
moved, and no end cut off. The header is authenticated with each chunk. Keys: scrypt, then HKDF apart for data and test.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from edge_server.errors import BackupDamaged, BackupTruncated, PassphraseWrong
from node.errors import StoreNewer

MAGIC = b"KINFLOW-SEALED\n"
END = b"SEALED.."
FORMAT = 1
CHUNK_BYTES = 64 * 1024
TAG_BYTES = 16
TEST_BYTES = 16
LIMIT_HEADER = 4_096
LIMIT_CHUNKS = 1 << 32
# Half a second and 128 MiB on a small server; what a file may ask of its reader is bounded as well.
COST = 1 << 17
COST_MOST = 1 << 20


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is readable without the passphrase. cost: scrypt's N, with r = 8 and p = 1. made_ms: Unix milliseconds."""

    format: int
    made_ms: int
    software: str
    edge: str
    salt: bytes
    nonce: bytes
    cost: int = COST
    chunk_bytes: int = CHUNK_BYTES


class SealedWriter(RawIOBase):
    """A stream that seals what is written to it. close() ends the last chunk; until then the file is no whole one."""

    def __init__(self, file: BinaryIO, header: Header, passphrase: str) -> None:
        super().__init__()
        text = msgspec.json.encode(header)
        data, test = _keys(header, passphrase)
        self._file, self._header, self._text = file, header, text
        self._cipher = AESGCM(data)
        self._held = bytearray()
        self._number = 0
        file.write(MAGIC + len(text).to_bytes(2, "big") + text + _test(test, text))

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._held += piece
        size = self._header.chunk_bytes
        # One byte is always kept back: the last chunk must be known as the last.
        while len(self._held) > size:
            self._put(bytes(self._held[:size]), last=False)
            del self._held[:size]
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._put(bytes(self._held), last=True)
            self._file.write(END + (self._file.tell() + len(END) + 8).to_bytes(8, "big"))
        super().close()

    def abandon(self) -> None:
        """Close without an end: what was written stays unreadable."""
        super().close()

    def _put(self, chunk: bytes, last: bool) -> None:
        nonce = _nonce(self._header, self._number, last)
        self._file.write(self._cipher.encrypt(nonce, chunk, self._text))
        self._number += 1


class SealedReader(RawIOBase):
    """The plain bytes of a sealed file, each checked before it is given out.

    Raises StoreNewer (KF51), BackupTruncated (KF225), BackupDamaged (KF226) or PassphraseWrong (KF227)."""

    def __init__(self, path: Path, passphrase: str) -> None:
        super().__init__()
        self._path = path
        self.header, self._text, start = read_header(path)
        self._end = _body_end(path, start + TEST_BYTES)
        data, test = _keys(self.header, passphrase)
        self._file = path.open("rb")
        self._file.seek(start)
        if not hmac.compare_digest(self._file.read(TEST_BYTES), _test(test, self._text)):
            self._file.close()
            raise PassphraseWrong(path=path)
        self._cipher = AESGCM(data)
        self._chunks = self._read_chunks()
        self._held = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        while not self._held:
            following = next(self._chunks, None)
            if following is None:
                return 0
            self._held = following
        count = min(len(view), len(self._held))
        view[:count] = self._held[:count]
        self._held = self._held[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()

    def _read_chunks(self) -> Iterator[bytes]:
        number, whole = 0, self.header.chunk_bytes + TAG_BYTES
        while True:
            sealed = self._file.read(min(whole, self._end - self._file.tell()))
            last = self._file.tell() >= self._end
            try:
                yield self._cipher.decrypt(_nonce(self.header, number, last), sealed, self._text)
            except InvalidTag as error:
                detail = f"part {number + 1} was changed, moved or left out"
                raise BackupDamaged(path=self._path, detail=detail) from error
            if last:
                return
            number += 1


def new_header(made_ms: int, software: str, edge: str, cost: int = COST) -> Header:
    return Header(FORMAT, made_ms, software, edge, os.urandom(16), os.urandom(7), cost)


def read_header(path: Path) -> tuple[Header, bytes, int]:
    """The header, its bytes, and where it ends. It is not yet authenticated: only opening the file does that."""
    with path.open("rb") as file:
        start = file.read(len(MAGIC) + 2)
        if not start.startswith(MAGIC):
            if start and MAGIC.startswith(start):
                raise BackupTruncated(path=path)
            raise BackupDamaged(path=path, detail="it is no backup of Kinflow")
        length = int.from_bytes(start[len(MAGIC) :], "big")
        text = file.read(length)
    if len(start) < len(MAGIC) + 2 or len(text) < length:
        raise BackupTruncated(path=path)
    try:
        found = msgspec.json.decode(text)
        number = found["format"] if isinstance(found, dict) else None
        if isinstance(number, int) and number > FORMAT:
            raise StoreNewer(path=path, found=number, known=FORMAT)
        header = msgspec.json.decode(text, type=Header)
    except (msgspec.DecodeError, msgspec.ValidationError, KeyError, UnicodeDecodeError) as error:
        raise BackupDamaged(path=path, detail="its header can't be read") from error
    sound = (
        length <= LIMIT_HEADER
        and 2 <= header.cost <= COST_MOST
        and header.cost & (header.cost - 1) == 0
        and 1 <= header.chunk_bytes <= 16 * CHUNK_BYTES
        and len(header.salt) >= 16
        and len(header.nonce) == 7
    )
    if not sound:
        raise BackupDamaged(path=path, detail="its header asks for what no backup needs")
    return header, text, len(MAGIC) + 2 + length


def _body_end(path: Path, start: int) -> int:
    """Where the chunks end. A file that was cut off is told apart here; that no chunk is missing is checked later."""
    size = path.stat().st_size
    tail = len(END) + 8
    if size < start + TAG_BYTES + tail:
        raise BackupTruncated(path=path)
    with path.open("rb") as file:
        file.seek(size - tail)
        end = file.read(tail)
    if not end.startswith(END) or int.from_bytes(end[len(END) :], "big") != size:
        raise BackupTruncated(path=path)
    return size - tail


def _keys(header: Header, passphrase: str) -> tuple[bytes, bytes]:
    root = Scrypt(salt=header.salt, length=32, n=header.cost, r=8, p=1).derive(passphrase.encode("utf-8"))
    return _derive(root, b"kinflow backup data"), _derive(root, b"kinflow backup passphrase test")


def _derive(root: bytes, use: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=use).derive(root)


def _test(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")[:TEST_BYTES]


def _nonce(header: Header, number: int, last: bool) -> bytes:
    return header.nonce + number.to_bytes(4, "big") + bytes([last])
