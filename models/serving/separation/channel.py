"""A connection on which both sides have proven the secret: frames in, frames out."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Awaitable
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from models.errors import PrefillLost, PrefillUnproven
from protocol.kv_frames import LENGTH, Frame, decode, encode
from protocol.kv_seal import HELLO_BYTES, PROOF_BYTES, Opener, Sealer, agree, hello, key_of

T = TypeVar("T")
CONNECT_S = HANDSHAKE_S = 5.0
SEND_S = 30.0
BUFFER_BYTES = 4 << 20


class Channel:
    """Made by `connect` or `accept`. One task may send while another receives."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sealer: Sealer, opener: Opener
    ) -> None:
        self._reader, self._writer, self._sealer, self._opener = reader, writer, sealer, opener

    async def send(self, frame: Frame) -> None:
        """Waits while the other side doesn't take it. Raises PrefillLost (KF527)."""
        self._writer.write(self._sealer.seal(encode(frame)))
        await _within(SEND_S, self._writer.drain(), "it takes nothing any more")

    async def receive(self, patience_s: float) -> Frame:
        """Raises PrefillLost (KF527), MessageMalformed (KF11), MessageTooLarge (KF12)."""
        return await _within(patience_s, self._received(), "nothing came")

    async def _received(self) -> Frame:
        head = await self._reader.readexactly(LENGTH.size)
        sealed = await self._reader.readexactly(self._opener.size_of(head))
        return decode(self._opener.open(head, sealed))

    def close(self) -> None:
        """At once: what was not sent is given up."""
        self._writer.transport.abort()


async def connect(host: str, port: int, secret: bytes) -> Channel:
    """Raises PrefillLost (KF527), PrefillUnproven (KF526), MessageVersionUnknown (KF13), MessageMalformed (KF11)."""
    opening = asyncio.open_connection(host, port, limit=BUFFER_BYTES)
    reader, writer = await _within(CONNECT_S, opening, "no connection")
    own = X25519PrivateKey.generate()
    try:
        writer.write(hello(own))
        said = await _within(HANDSHAKE_S, reader.readexactly(HELLO_BYTES + PROOF_BYTES), "no greeting")
        server_key = key_of(said[:HELLO_BYTES])
        agreed = agree(secret, own, own.public_key().public_bytes_raw(), server_key)
        if not hmac.compare_digest(agreed.server_proof, said[HELLO_BYTES:]):
            raise PrefillUnproven(where=f"{host}:{port}")
        writer.write(agreed.client_proof)
    except BaseException:
        writer.transport.abort()
        raise
    return Channel(reader, writer, Sealer(agreed.to_server), Opener(agreed.to_client))


async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, secret: bytes) -> Channel:
    """Raises as `connect`. Nobody who has not proven the secret gets anything sealed with it."""
    own = X25519PrivateKey.generate()
    server_key = own.public_key().public_bytes_raw()
    try:
        client_key = key_of(await _within(HANDSHAKE_S, reader.readexactly(HELLO_BYTES), "no greeting"))
        agreed = agree(secret, own, client_key, server_key)
        writer.write(hello(own) + agreed.server_proof)
        proof = await _within(HANDSHAKE_S, reader.readexactly(PROOF_BYTES), "no proof")
        if not hmac.compare_digest(agreed.client_proof, proof):
            raise PrefillUnproven(where=_peer(writer))
    except BaseException:
        writer.transport.abort()
        raise
    return Channel(reader, writer, Sealer(agreed.to_client), Opener(agreed.to_server))


async def _within(patience_s: float, work: Awaitable[T], told: str) -> T:
    try:
        async with asyncio.timeout(patience_s):
            return await work
    except TimeoutError as error:
        raise PrefillLost(detail=f"{told} for {patience_s:.1f} s") from error
    except asyncio.IncompleteReadError as error:
        raise PrefillLost(detail="the connection was ended") from error
    except OSError as error:
        raise PrefillLost(detail=error.strerror or type(error).__name__) from error


def _peer(writer: asyncio.StreamWriter) -> str:
    with contextlib.suppress(TypeError, IndexError):
        return f"{writer.get_extra_info('peername')[0]}"
    return "somebody"
