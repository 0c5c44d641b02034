"""Asking an edge server over HTTPS: one JSON request, a short answer, errors in our words."""

from __future__ import annotations

import http.client
import json
import secrets
import ssl
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from cryptography import x509

from node.errors import EdgeNotPinned, EdgeNotReached, EdgeRefused
from node.trust.credentials import Credentials
from node.trust.join_code import JoinCode
from node.trust.keys import spki_digest
from node.trust.signed_request import sign_request
from node.trust.signed_time import SignedTime, read_time
from node.trust.tls import PinnedContext, unverified_context
from node.trust.wire import RenewAsk, Root, Standing

BASE = "/api/v1/trust"
TIMEOUT_S = 10.0
ANSWER_LIMIT = 256 * 1024
HTTP_PORT = 8800
# There the port speaks plain HTTP.
PLAIN_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

T = TypeVar("T")


def split_address(text: str) -> tuple[str, int]:
    """`HOST`, `HOST:PORT`, `[v6]:PORT` or a bare IPv6 address. Raises EdgeNotReached (KF163)."""
    host, port = text.strip(), ""
    if host.startswith("["):
        host, _, port = host[1:].partition("]")
        port = port.removeprefix(":")
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    if not host or not (not port or (port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16)):
        raise EdgeNotReached(host=text[:80], detail="an address is HOST or HOST:PORT")
    return host, int(port or HTTP_PORT)


class Asker:
    """One edge server's address, asked anew for each question. context: None for plain HTTP, on this machine alone.

    Raises EdgeNotReached (KF163), or EdgeRefused (KF162) with the edge server's own words.
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None, limit: int = ANSWER_LIMIT) -> None:
        self.host, self.port, self._limit = host, port, limit
        self._context = context
        self.timeout_s = TIMEOUT_S

    def get(self, path: str, kind: type[T]) -> T:
        return self._decode(self._ask("GET", path, b"", {}), kind)

    def post(self, path: str, ask: object, kind: type[T]) -> T:
        return self._decode(self._ask("POST", path, msgspec.json.encode(ask), {}), kind)

    def get_signed(self, path: str, kind: type[T], headers: Mapping[str, str]) -> T:
        return self._decode(self._ask("GET", path, b"", headers), kind)

    def post_raw(self, path: str, body: bytes, kind: type[T], headers: Mapping[str, str]) -> T:
        return self._decode(self._ask("POST", path, body, headers), kind)

    def post_signed(self, path: str, ask: object, kind: type[T], credentials: Credentials) -> T:
        body, now_ms = msgspec.json.encode(ask), credentials.time.now_ms()
        headers = sign_request(
            credentials.key(), credentials.certificate, credentials.ca, "POST", BASE + path, body, now_ms
        )
        return self._decode(self._ask("POST", path, body, headers), kind)

    def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        connection: http.client.HTTPConnection
        if self._context is None:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout_s)
        else:
            connection = http.client.HTTPSConnection(
                self.host, self.port, timeout=self.timeout_s, context=self._context
            )
        try:
            connection.connect()
            # By its address: whatever name a person typed, that is a name that it goes by.
            peer = connection.sock.getpeername()[0]
            host = f"[{peer}]" if ":" in peer else peer
            given = {"Host": f"{host}:{self.port}", "Connection": "close", **headers}
            if body:
                given["Content-Type"] = "application/json"
            connection.request(method, BASE + path, body or None, given)
            answer = connection.getresponse()
            data = answer.read(self._limit + 1)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise EdgeNotReached(host=f"{self.host}:{self.port}", detail=_words(error)) from error
        finally:
            connection.close()
        if answer.status >= 300 or len(data) > self._limit:
            raise _refusal(self.host, answer.status, data)
        return data

    def _decode(self, data: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise EdgeNotReached(host=self.host, detail="what answers there is no edge server") from error


def find_root(host: str, port: int, code: JoinCode) -> tuple[Root, x509.Certificate]:
    """Ask without trust, and believe the answer if the code pins it. Raises EdgeNotPinned (KF161)."""
    context = None if host in PLAIN_HOSTS else unverified_context()
    root = Asker(host, port, context).get("/ca", Root)
    try:
        certificate = x509.load_pem_x509_certificate(root.ca.encode())
        pinned = code.pins(spki_digest(certificate.public_key()))  # type: ignore[arg-type]
    except (ValueError, TypeError, AttributeError) as error:
        raise EdgeNotPinned(host=host) from error
    if not pinned:
        raise EdgeNotPinned(host=host)
    return root, certificate


def asker_of(host: str, port: int, ca: str, limit: int = ANSWER_LIMIT) -> Asker:
    """Inside TLS that believes this root alone, whatever the time; on this very machine without TLS."""
    return Asker(host, port, None if host in PLAIN_HOSTS else PinnedContext(ca, None), limit)


def ask_time(asker: Asker, root: x509.Certificate) -> int:
    """Milliseconds since 1970, signed by the edge server with a nonce of ours. Raises EdgeNotPinned (KF161)."""
    nonce = secrets.token_hex(16)
    return read_time(asker.get(f"/time?nonce={nonce}", SignedTime), nonce, root, asker.host)


def ask_standing(credentials: Credentials, ask: RenewAsk) -> Standing:
    """Ask each of our edge server's addresses until one answers. The time is asked first: the request carries it.

    Raises what the last one raised; a refusal ends the round at once.
    """
    root = x509.load_pem_x509_certificate(credentials.ca.encode())
    failure: EdgeNotReached | EdgeNotPinned | None = None
    for host in credentials.hosts:
        asker = asker_of(host, credentials.http_port, credentials.ca)
        try:
            credentials.time.learn(ask_time(asker, root))
            return asker.post_signed("/renew", ask, Standing, credentials)
        except (EdgeNotReached, EdgeNotPinned) as error:
            failure = error
    assert failure is not None
    raise failure


def _refusal(host: str, status: int, data: bytes) -> EdgeRefused | EdgeNotReached:
    try:
        said = json.loads(data)["error"]
        words = [str(said[key])[:300] for key in ("code", "cause", "advice")]
    except (ValueError, KeyError, TypeError, RecursionError):
        return EdgeNotReached(host=host, detail=f"it answered with status {status}")
    return EdgeRefused(refusal=words[0], detail=words[1], remedy=words[2])


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = getattr(error, "verify_message", None) or error
        return f"it is not the edge server that was joined ({why})"
    return str(error) or type(error).__name__
