"""The spoiled link, with real sockets."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from random import Random

import pytest

from sim_devices.faults.link_state import LinkState
from sim_devices.faults.proxy import LinkProxy

DEADLINE_S = 10.0


class EchoServer:
    """Sends back what it gets, on every connection."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> tuple[str, int]:
        return self.listener.getsockname()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = self.listener.accept()
                self.open.append(one)
                threading.Thread(target=self._echo, args=(one,), daemon=True).start()

    @staticmethod
    def _echo(one: socket.socket) -> None:
        with contextlib.suppress(OSError), one:
            while data := one.recv(65536):
                one.sendall(data)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    server = EchoServer()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: EchoServer) -> Iterator[LinkProxy]:
    one = LinkProxy(echo.address, seed=1)
    one.start()
    yield one
    one.stop()


def connect(proxy: LinkProxy) -> socket.socket:
    return socket.create_connection(proxy.address, timeout=DEADLINE_S)


def read(one: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        got = one.recv(65536)
        if not got:
            break
        data += got
    return data


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def ended(one: socket.socket) -> bool:
    """Whether the connection ends (an orderly end or a reset) instead of bringing data."""
    try:
        return one.recv(1) == b""
    except ConnectionError:
        return True


def refused(proxy: LinkProxy) -> bool:
    """Whether a new connection comes to nothing: it is reset while it opens or right after."""
    try:
        with connect(proxy) as one:
            return ended(one)
    except ConnectionError:
        return True


def test_bytes_cross_in_order_and_whole(proxy: LinkProxy) -> None:
    sent = Random(7).randbytes(300_000)
    with connect(proxy) as one:
        threading.Thread(target=one.sendall, args=(sent,), daemon=True).start()
        assert read(one, len(sent)) == sent
        one.shutdown(socket.SHUT_WR)
        assert one.recv(1) == b""
    wait_until(lambda: proxy.connections == 0)


def test_a_refused_link_ends_connections_and_heals(proxy: LinkProxy) -> None:
    with connect(proxy) as one:
        one.sendall(b"before")
        assert read(one, 6) == b"before"
        proxy.set_state(LinkState(cut="refused"))
        assert ended(one)
    assert refused(proxy)
    proxy.set_state(LinkState())
    with connect(proxy) as one:
        one.sendall(b"after")
        assert read(one, 5) == b"after"


def test_a_black_hole_keeps_connections_and_lets_through_later_what_it_held(proxy: LinkProxy) -> None:
    with connect(proxy) as one:
        one.sendall(b"before")
        assert read(one, 6) == b"before"
        proxy.set_state(LinkState(cut="black-hole"))
        one.sendall(b"held")
        one.settimeout(0.3)
        with pytest.raises(TimeoutError):
            one.recv(1)
        one.settimeout(DEADLINE_S)
        proxy.set_state(LinkState())
        assert read(one, 4) == b"held"


def test_a_delay_holds_bytes_back_for_at_least_that_long(proxy: LinkProxy) -> None:
    proxy.set_state(LinkState(delay_ms=150.0))
    with connect(proxy) as one:
        begun = time.monotonic()
        one.sendall(b"x")
        assert read(one, 1) == b"x"
        assert time.monotonic() - begun >= 0.3, "150 ms there and 150 ms back"


def test_a_narrow_link_needs_its_time(proxy: LinkProxy) -> None:
    proxy.set_state(LinkState(bytes_per_s=100_000.0))
    with connect(proxy) as one:
        begun = time.monotonic()
        threading.Thread(target=one.sendall, args=(b"x" * 40_000,), daemon=True).start()
        assert len(read(one, 40_000)) == 40_000
        assert time.monotonic() - begun >= 0.4


def test_resets_end_the_connection(proxy: LinkProxy) -> None:
    proxy.set_state(LinkState(reset_share=1.0))
    with connect(proxy) as one:
        one.sendall(b"x")
        assert ended(one)


def test_a_target_that_is_gone_ends_the_connection(echo: EchoServer, proxy: LinkProxy) -> None:
    echo.close()
    echo.listener = socket.create_server(("127.0.0.1", 0))
    assert refused(proxy)


def test_fates_follow_from_the_seed() -> None:
    state = LinkState(delay_ms=20, jitter_ms=10, stall_share=0.3, stall_ms=200, reset_share=0.1)
    first = [state.waiting_s(Random(f"1/{n}")) for n in range(200)]
    assert first == [state.waiting_s(Random(f"1/{n}")) for n in range(200)]
    assert first != [state.waiting_s(Random(f"2/{n}")) for n in range(200)]
    assert None in first
    waits = [wait for wait in first if wait is not None]
    assert min(waits) >= 0.010
    assert max(waits) > 0.2


@pytest.mark.parametrize("wrong", [{"cut": "torn"}, {"delay_ms": -1}, {"stall_share": 1.5}])
def test_a_senseless_state_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must|negative|between"):
        LinkState(**wrong)  # type: ignore[arg-type]
