"""What strangers do at the gateway's door: come in crowds, say nothing, speak a letter a second, never listen.

The times are shortened, the rest is real: sockets, TLS, the application. Each address of 127.0.0.0/8 is a stranger.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from edge_server.gateway.app import Gateway
from edge_server.gateway.server import GatewayServer
from node.door.doorman import Limits
from tests.edge_server.gateway.demo_edge import TOKEN, DemoEdge
from tests.node.pki import TestAuthority

FAR, STRANGER, GUEST = "127.0.0.2", "127.0.0.66", "127.0.0.7"
LIMITS = Limits(at_once=12, wait_ms=1_500, fresh_ms=0, body_ms=1_000, blocked_ms=1_500)


class Crowd:
    """A gateway that speaks HTTPS to the network (127.0.0.2), and whoever comes to it."""

    def __init__(self, folder: Path) -> None:
        self._open = ExitStack()
        authority = TestAuthority(folder / "pki")
        authority.issue("edge")
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(folder / "pki/edge.pem", folder / "pki/edge.key")
        self._client = authority.context(None)
        self._client.check_hostname = False
        self.edge = DemoEdge(folder)
        self._server = GatewayServer(Gateway(self.edge.context), FAR, 0, server, LIMITS)
        self._server.start()
        self.port = self._server.port

    def come(self, source: str = STRANGER, host: str = FAR) -> socket.socket:
        """A connection from that address, of which nothing more is said."""
        made = socket.create_connection((host, self.port), 10, source_address=(source, 0))
        return self._open.enter_context(made)

    def speak(self, text: str, source: str = STRANGER) -> ssl.SSLSocket:
        """The same with TLS, and the beginning of something said."""
        wire = self._open.enter_context(self._client.wrap_socket(self.come(source)))
        wire.sendall(text.format(host=f"{FAR}:{self.port}", token=TOKEN).encode())
        return wire

    def status(self, source: str = GUEST, path: str = "/healthz", host: str = FAR) -> int:
        """Of a guest who asks as one should; 0 when the door is shut in its face."""
        try:
            wire = self.come(source, host)
            if host == FAR:
                wire = self._open.enter_context(self._client.wrap_socket(wire))
            wire.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{self.port}\r\nConnection: close\r\n\r\n".encode())
            return int(wire.recv(12)[9:12] or b"0")
        except OSError:
            return 0

    def leave(self) -> None:
        self._open.close()

    def close(self) -> None:
        self.leave()
        self._server.stop()
        self.edge.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    made = Crowd(tmp_path_factory.mktemp("door"))
    yield made
    made.close()


@pytest.fixture
def crowd(place: Crowd) -> Iterator[Crowd]:
    yield place
    place.leave()


def is_cut(wire: socket.socket) -> bool:
    wire.settimeout(0.02)
    try:
        return wire.recv(65_536) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def until_said(wire: socket.socket, words: bytes) -> bytes:
    wire.settimeout(15)
    said = b""
    while words not in said:
        piece = wire.recv(65_536)
        assert piece, said
        said += piece
    return said


def heard(wire: socket.socket) -> bytes:
    """All that comes until the other side ends it."""
    wire.settimeout(15)
    said = b""
    with suppress(ConnectionError, ssl.SSLError):
        while piece := wire.recv(65_536):
            said += piece
    return said


def test_half_open_connections_without_end_shut_nobody_out(crowd: Crowd, eventually: Callable[..., None]) -> None:
    flood = [crowd.come() for _ in range(5 * LIMITS.at_once)]
    assert crowd.status(GUEST) == 200
    assert crowd.status(STRANGER) == 200
    eventually(lambda: sum(map(is_cut, flood)) >= 4 * LIMITS.at_once)


def test_who_begins_no_tls_is_cut(crowd: Crowd, eventually: Callable[..., None]) -> None:
    wire = crowd.come()
    eventually(lambda: is_cut(wire))


def test_a_head_that_drips_is_cut(crowd: Crowd, eventually: Callable[..., None]) -> None:
    wire = crowd.speak("GET /login HTTP/1.1\r\nHost: {host}\r\n")

    def still_drips() -> bool:
        with suppress(OSError):
            wire.sendall(b"X-More: 1\r\n")
        return is_cut(wire)

    eventually(still_drips)


def test_between_two_requests_the_same_holds(crowd: Crowd, eventually: Callable[..., None]) -> None:
    wire = crowd.speak("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n")
    assert wire.recv(12)[9:12] == b"200"

    def still_drips() -> bool:
        with suppress(OSError):
            wire.sendall(b"G")
        return is_cut(wire)

    eventually(still_drips)


@pytest.mark.parametrize("framing", ["Content-Length: 60000", "Transfer-Encoding: chunked"])
def test_a_body_that_does_not_end_is_answered_and_cut(
    crowd: Crowd, framing: str, eventually: Callable[..., None]
) -> None:
    wire = crowd.speak("POST /login HTTP/1.1\r\nHost: {host}\r\n" + framing + "\r\n\r\n")
    wire.settimeout(0.05)
    said = b""
    deadline = time.monotonic() + 15
    while b"}}" not in said:
        assert time.monotonic() < deadline
        wire.sendall(b"1\r\nx\r\n")
        with suppress(TimeoutError):
            said += wire.recv(65_536)
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b'"code": "KF186"' in said
    eventually(lambda: is_cut(wire))


def test_who_does_not_take_an_answer_is_cut(crowd: Crowd, eventually: Callable[..., None]) -> None:
    """Pipelined: each answer is small, but they fill every buffer there is between the two."""
    wire = crowd.speak("")
    head = f"Host: {FAR}:{crowd.port}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    ask = "GET /static/vendor/leaflet/leaflet.js HTTP/1.1\r\n" + head
    wire.settimeout(0.2)

    def is_gone() -> bool:
        try:
            wire.sendall(ask.encode())
        except TimeoutError:
            return False
        except OSError:
            return True
        return False

    eventually(is_gone)


def test_a_dashboard_keeps_its_streams_while_strangers_flood(crowd: Crowd) -> None:
    """Six of them, for longer than anybody may wait, each with what happens last."""
    ask = "GET /api/v1/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
    streams = [crowd.speak(ask, GUEST) for _ in range(6)]
    until = time.monotonic() + 2 * LIMITS.wait_ms / 1000
    while time.monotonic() < until:
        for _ in range(LIMITS.at_once):
            crowd.come().close()
        crowd.come()
        time.sleep(0.05)
    crowd.edge.log("test", "after the flood")
    for stream in streams:
        until_said(stream, b"after the flood")


def test_this_machine_has_a_door_of_its_own(crowd: Crowd) -> None:
    """Many strangers, each as polite as can be, hold every place on the network's side."""
    ask = "GET /api/v1/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
    for number in range(LIMITS.at_once):
        crowd.speak(ask, f"127.0.1.{number + 1}")
    assert crowd.status("127.0.0.1", host="127.0.0.1") == 200


def test_a_head_that_is_too_long_is_refused(crowd: Crowd) -> None:
    wire = crowd.speak("GET /login HTTP/1.1\r\nHost: {host}\r\n")
    with suppress(OSError):
        wire.sendall(b"".join(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(200)))
    assert heard(wire).startswith(b"HTTP/1.1 400 ")


def test_a_websocket_is_not_spoken(crowd: Crowd) -> None:
    wire = crowd.speak(
        "GET /api/v1/events HTTP/1.1\r\nHost: {host}\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    assert heard(wire).startswith(b"HTTP/1.1 401 ")


def test_one_account_opens_so_many_streams_and_no_more(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_server.gateway.feed.STREAMS_OF_ONE", 3)
    ask = "GET /api/v1/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
    for _ in range(3):
        assert b"event: snapshot" in until_said(crowd.speak(ask, GUEST), b"event: snapshot")
    refused = until_said(crowd.speak(ask, GUEST), b"}}")
    assert refused.startswith(b"HTTP/1.1 429 ")
    assert b'"code":"KF219"' in refused
