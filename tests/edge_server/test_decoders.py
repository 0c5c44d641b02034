"""Whatever a browser or a program sends in headers, cookies, forms and cursors is answered, never a server error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge_server.accounts.rows import Actor
from edge_server.gateway.app import Gateway
from edge_server.gateway.auth import bearer, cookie
from edge_server.gateway.guard import host_name
from edge_server.gateway.login import form_fields
from tests.edge_server.gateway.demo_edge import TOKEN, DemoEdge

RAW = st.binary(max_size=60)
NAMES = st.sampled_from(
    [
        b"host",
        b"origin",
        b"cookie",
        b"authorization",
        b"content-length",
        b"content-type",
        b"sec-fetch-site",
        b"sec-fetch-mode",
        b"forwarded",
        b"last-event-id",
        b"kinflow-certificate",
        b"kinflow-signature",
        b"range",
        b"if-none-match",
    ]
)
GOOD = st.sampled_from(
    [
        (b"authorization", f"Bearer {TOKEN}".encode()),
        (b"authorization", b"Bearer kinflow_x"),
        (b"cookie", b"kinflow_edge=\xff"),
        (b"content-length", "\u0663".encode()),
        (b"content-type", b"application/json"),
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"origin", b"http://localhost"),
    ]
)
PATHS = st.sampled_from(
    [
        "/",
        "/login",
        "/api/v1/state",
        "/api/v1/me",
        "/api/v1/users",
        "/api/v1/corrections",
        "/api/v1/corrections/9999999999999999999999",
        "/api/v1/cameras/\u0000/relearn-road",
        "/static/main.js",
        "/static/\u0000",
        "/static/" + "a" * 5_000,
        "/bundles/\udcff",
        "/healthz",
        "/install",
        "//",
        "",
    ]
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    edge = DemoEdge(tmp_path_factory.mktemp("edge"))
    edge.accounts.users.add("anna", "admin", "four words nobody joins", Actor("tests"))
    yield Gateway(edge.context)
    edge.close()


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def ask(gateway: Gateway, loop: asyncio.Runner, scope: dict[str, Any], body: bytes) -> int:
    """The status of the answer, straight from the application, as no client library would let it be asked."""
    statuses: list[int] = []
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return parts.pop() if parts else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    loop.run(gateway.app(scope, receive, send))
    (status,) = statuses
    return status


@st.composite
def scopes(draw: st.DrawFn) -> dict[str, Any]:
    path = draw(PATHS)
    host = draw(st.sampled_from([b"localhost", b"127.0.0.1:8800", b"[::1]", b"[", b"", b"\xff"]))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": draw(st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "X"])),
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogateescape"),
        "root_path": "",
        "query_string": draw(RAW),
        "headers": [(b"host", host), *draw(st.lists(st.tuples(NAMES, RAW) | GOOD, max_size=5))],
        "client": ("192.0.2.1", 1),
        "server": ("192.0.2.2", 8800),
    }


@pytest.mark.timeout(120)
@given(scope=scopes(), body=st.binary(max_size=80) | st.just(b'{"mistake":"false-alarm","alarm":1}'))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_request_is_answered_and_never_with_a_server_error(
    gateway: Gateway, loop: asyncio.Runner, scope: dict[str, Any], body: bytes
) -> None:
    # This edge has no authority, so that there is nothing that it could install a device with.
    assert ask(gateway, loop, scope, body) < 500 or scope["path"] == "/install"


@given(st.text(max_size=60))
@example("[::1")
def test_any_host_header_is_a_name(header: str) -> None:
    assert isinstance(host_name(header), str)


@given(st.text(max_size=60), st.lists(st.text(max_size=60), max_size=3), st.booleans())
def test_any_header_holds_a_secret_or_none(header: str, cookies: list[str], secure: bool) -> None:
    assert bearer(header) is None or isinstance(bearer(header), str)
    assert cookie(cookies, secure) is None or isinstance(cookie(cookies, secure), str)


@given(st.binary(max_size=300))
def test_any_form_is_fields(body: bytes) -> None:
    assert all(isinstance(value, str) for values in form_fields(body).values() for value in values)


@given(cursor=st.none() | st.text(max_size=40) | st.from_regex(r"[0-9a-f]{1,16}-[0-9\u0660-\u0669-]{1,30}"))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cursor_begins_a_stream(gateway: Gateway, cursor: str | None) -> None:
    async def first() -> str:
        stream = gateway.feed.stream(cursor)
        found = [await anext(stream)]
        if "resync" in found[0]:
            found.append(await anext(stream))
        await stream.aclose()
        return found[-1]

    assert "snapshot" in asyncio.run(first())
