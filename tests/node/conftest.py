"""What the tests of brokers and links share: a way to wait, free ports, and a proxy whose link can be cut."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from node.ports import any_free_port


class TcpProxy:
    """Forwards 127.0.0.1:port to a target until its link is cut."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._frozen = False
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Reset every connection, as a network that fails does."""
        for wire in list(self._pairs):
            with contextlib.suppress(OSError):
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                wire.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        """Forward nothing more, and say nothing of it: a pulled cable."""
        self._frozen = True

    def thaw(self) -> None:
        self._frozen = False

    def close(self) -> None:
        self._closing = True
        self.cut()
        self._thread.join()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._closing:
                if self._frozen:
                    time.sleep(0.02)
                    continue
                for key, _ in selector.select(0.05):
                    if key.fileobj is self._listener:
                        self._accept(selector)
                    else:
                        self._forward(selector, key.fileobj)
        for wire in self._pairs:
            wire.close()
        self._listener.close()

    def _accept(self, selector: selectors.BaseSelector) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self._target_port))
        except OSError:
            near.close()
            return
        for one, other in ((near, far), (far, near)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs[one] = other
            selector.register(one, selectors.EVENT_READ)

    def _forward(self, selector: selectors.BaseSelector, wire: socket.socket) -> None:
        other = self._pairs.get(wire)
        if other is None:
            return
        try:
            data = wire.recv(65536)
            if data:
                other.sendall(data)
                return
        except OSError:
            pass
        for one in (wire, other):
            selector.unregister(one)
            del self._pairs[one]
            one.close()


def _wait_until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """wait_until(condition, seconds=15): fail when it does not come true."""
    return _wait_until


@pytest.fixture
def free_port() -> Callable[[], int]:
    return any_free_port


@pytest.fixture
def proxy_to() -> Iterator[Callable[[int], TcpProxy]]:
    proxies: list[TcpProxy] = []

    def make(target_port: int) -> TcpProxy:
        proxies.append(TcpProxy(target_port))
        return proxies[-1]

    yield make
    for proxy in proxies:
        proxy.close()
