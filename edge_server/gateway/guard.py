"""The one gate in front of every route, static files included: Host, Origin, size, who asks, and the safety headers.

It is plain ASGI and wraps the whole application, so that a route that somebody adds later is closed by default.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_server.accounts.accounts import Accounts
from edge_server.accounts.caller import Caller
from edge_server.accounts.need import Need
from edge_server.errors import (
    AccountsUnusable,
    HostRefused,
    OriginRefused,
    RequestInvalid,
    RequestTooLarge,
    RoleTooLow,
    RouteUndeclared,
    TokenMissing,
)
from edge_server.gateway import auth
from edge_server.gateway.answers import error_body, error_headers, status_of
from edge_server.gateway.route_table import RouteTable
from models.serving.answers import told_to
from models.serving.entry import admit, secret_of
from models.serving.keys import PREFIX, KeyFile
from protocol.errors import KinflowError

LIMIT_BYTES = 64 * 1024
LOGIN = "/login"
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_SAFE = frozenset({"GET", "HEAD"})
_FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via")
_LOOK_AGAIN_S = 5.0

SAFETY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (
        b"content-security-policy",
        b"default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


DeviceOf = Callable[[Scope, bytes], str | None]


@dataclass(frozen=True)
class Door:
    """Who is let in. hosts: the names besides loopback by which this server is called, lower-case, without a port.
    device_of: the joined device that a request (its scope and its body) proves to come from, or None. keys: of programs
    that may ask the member."""

    accounts: Accounts
    hosts: frozenset[str] = frozenset()
    device_of: DeviceOf | None = None
    keys: KeyFile | None = None


class Guard:
    def __init__(self, app: ASGIApp, door: Door, routes: RouteTable) -> None:
        self._app = app
        self._door = door
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope)
        safe_send = _with_safety_headers(send)
        try:
            host = self._check_host(scope, headers)
            if not scope["query_string"].isascii():
                raise RequestInvalid(detail="the query holds bytes that must be percent-encoded")
            needs = self._routes.need_of(scope)
            if needs is None:
                raise RouteUndeclared(path=scope["path"][:80])
            self._check_origin(scope, headers, needs)
            _check_length(headers)
            body = b"" if scope["method"] in _SAFE else await _read_body(receive)
            caller = await self._caller(scope, headers, needs, body)
            if caller is None and _is_page(scope):
                await self._page_without_token(scope, receive, safe_send, headers, host)
                return
            _check_need(caller, needs)
            scope.setdefault("state", {})["caller"] = caller
            if caller is not None:
                admit(scope, caller.tenant)
            if needs not in {"public", "device"}:
                safe_send = self._with_second_looks(safe_send, scope, headers, needs)
            await self._app(scope, receive if scope["method"] in _SAFE else _replay(body, receive), safe_send)
        except _Ended:
            await safe_send({"type": "http.response.body", "body": b"", "more_body": False})
        except KinflowError as error:
            await _refuse(safe_send, error, scope["path"])

    def _check_host(self, scope: Scope, headers: Headers) -> str:
        """A name that we are not called by is a rebound DNS name, or a mistake. The very address that was connected to
        is no name, and nobody can rebind it."""
        given = headers.all(b"host")
        host = host_name(given[0]) if len(given) == 1 else ""
        connected_to = (scope.get("server") or ("",))[0]
        if host not in LOOPBACK_HOSTS and host not in self._door.hosts and host != connected_to:
            raise HostRefused(host=host[:80])
        return host

    def _check_origin(self, scope: Scope, headers: Headers, needs: Need) -> None:
        """Only our own pages may ask. A change that may rest on a cookie must prove that it comes from one; what needs
        none, or a device's signature, rests on none."""
        own = f"{scope.get('scheme', 'http')}://{headers.one(b'host')}"
        origins = headers.all(b"origin")
        if any(origin != own for origin in origins):
            raise OriginRefused(origin=origins[0][:80])
        navigation = scope["method"] in _SAFE and headers.one(b"sec-fetch-mode") == "navigate"
        if headers.one(b"sec-fetch-site") in {"cross-site", "same-site"} and not navigation:
            raise OriginRefused(origin="another site")
        # `x-api-key` is a header that no other site's page may set, and where it stands no cookie is looked at.
        by_header = headers.one(b"authorization") is not None or (needs == "model" and secret_of(scope) != "")
        by_cookie = needs not in {"public", "device"} and not by_header
        if scope["method"] not in _SAFE and not origins and by_cookie:
            raise OriginRefused(origin="none")

    async def _caller(self, scope: Scope, headers: Headers, needs: Need, body: bytes = b"") -> Caller | None:
        """Asked of the accounts on a thread: they lie in a file, which now and then is written to."""
        if needs == "public":
            return None
        if needs == "device":
            name = self._door.device_of(scope, body) if self._door.device_of else None
            return Caller(name, "device") if name else None
        given = auth.bearer(headers.one(b"authorization"))
        if needs == "model":
            given = secret_of(scope) or given
            if self._door.keys is not None and given is not None and given.startswith(PREFIX):
                tenant = await run_in_threadpool(self._door.keys.tenant_of, given)
                return None if tenant is None else Caller(tenant, "key")
        if given is not None:
            return await run_in_threadpool(self._door.accounts.by_bearer, given)
        given = auth.cookie(headers.all(b"cookie"), _is_secure(scope))
        return await run_in_threadpool(self._door.accounts.by_cookie, given) if given else None

    def _with_second_looks(self, send: Send, scope: Scope, headers: Headers, needs: Need) -> Send:
        """An answer that goes on for hours ends soon after its caller is signed out, revoked or given a lower role."""
        looked_s = monotonic()

        async def wrapped(message: Message) -> None:
            nonlocal looked_s
            if message.get("more_body") and monotonic() - looked_s >= _LOOK_AGAIN_S:
                looked_s = monotonic()
                try:
                    caller = await self._caller(scope, headers, needs)
                except AccountsUnusable:
                    caller = None
                if caller is None or not caller.may(needs):
                    raise _Ended
            await send(message)

        return wrapped

    async def _page_without_token(
        self, scope: Scope, receive: Receive, send: Send, headers: Headers, host: str
    ) -> None:
        """Before there is any account, the page on this very machine gets a session; elsewhere, and from then on, a
        person signs in.

        A proxy on this machine makes everybody look local, so one that says that it forwards ends the favour.
        """
        accounts = self._door.accounts
        if is_local(scope, headers, host) and not await run_in_threadpool(accounts.exist):
            session = await run_in_threadpool(accounts.open_local, _address(scope))
            set_cookie = auth.set_cookie(session, _is_secure(scope))
            await self._app(scope, receive, _with_header(send, b"set-cookie", set_cookie.encode()))
            return
        await send({"type": "http.response.start", "status": 303, "headers": [(b"location", LOGIN.encode())]})
        await send({"type": "http.response.body", "body": b""})


class _Ended(Exception):
    """The caller of an answer under way may no longer have it."""


def _check_need(caller: Caller | None, needs: Need) -> None:
    if needs == "public":
        return
    if caller is None:
        raise TokenMissing
    if not caller.may(needs):
        raise RoleTooLow(role=caller.role or caller.way, needs=needs)


class Headers:
    def __init__(self, scope: Scope) -> None:
        self._pairs: list[tuple[bytes, bytes]] = scope["headers"]

    def all(self, name: bytes) -> list[str]:
        return [value.decode("latin-1") for key, value in self._pairs if key == name]

    def one(self, name: bytes) -> str | None:
        return next(iter(self.all(name)), None)


def is_local(scope: Scope, headers: Headers, host: str) -> bool:
    """Whether a request comes from this very machine, under a loopback name, and no proxy says that it forwards it."""
    near = host in LOOPBACK_HOSTS and auth.is_loopback(_address(scope))
    return near and not any(headers.all(name) for name in _FORWARDED)


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _is_secure(scope: Scope) -> bool:
    return scope.get("scheme") == "https"


def host_name(header: str) -> str:
    """`[::1]:8800` -> `::1`, `Edge.local:8800` -> `edge.local`."""
    if header.startswith("["):
        address, _, rest = header[1:].partition("]")
        return address.lower() + rest.partition(":")[0]
    return header.partition(":")[0].lower()


def _is_page(scope: Scope) -> bool:
    return scope["path"] == "/" and scope["method"] in _SAFE


def _check_length(headers: Headers) -> None:
    length = headers.one(b"content-length")
    if length is not None and (not length.isdecimal() or int(length) > LIMIT_BYTES):
        raise RequestTooLarge(limit_bytes=LIMIT_BYTES)


async def _read_body(receive: Receive) -> bytes:
    """Read a change whole and count what really comes: a chunked request names no length."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > LIMIT_BYTES:
            raise RequestTooLarge(limit_bytes=LIMIT_BYTES)
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return whole.pop() if whole else await receive()

    return replay


def _with_safety_headers(send: Send) -> Send:
    """Add every safety header that the answer does not set itself (the login page has a policy of its own)."""

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message.get("headers", ())}
            extra = [pair for pair in SAFETY_HEADERS if pair[0] not in present]
            message = {**message, "headers": [*message.get("headers", ()), *extra]}
        await send(message)

    return wrapped


def _with_header(send: Send, name: bytes, value: bytes) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (name, value)]}
        await send(message)

    return wrapped


async def _refuse(send: Send, error: KinflowError, path: str) -> None:
    # Whoever speaks OpenAI's protocol reads errors in its form.
    told = told_to(path, error, status_of(error)) or error_body(error)
    body = json.dumps(told).encode()
    extra = [(name.lower().encode(), value.encode()) for name, value in error_headers(error).items()]
    headers = [(b"content-type", b"application/json"), *extra]
    await send({"type": "http.response.start", "status": status_of(error), "headers": headers})
    await send({"type": "http.response.body", "body": body})
