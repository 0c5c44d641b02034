"""The cloud's door is the edge server's (tests/edge_server/gateway/test_gateway_door.py): here, that it is there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from cloud.app import CloudContext, cloud_app
from cloud.server import Listener
from cloud.store import CloudStore
from node.clock import SystemClock
from node.door.doorman import Limits

LIMITS = Limits(at_once=8, wait_ms=1_000, body_ms=500, blocked_ms=1_000)


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    store = CloudStore(tmp_path / "cloud.db")
    app = cloud_app(CloudContext("1.2.3", SystemClock(), store, lambda scope, body: None, "t" * 43))
    listener = Listener(app, "127.0.0.1", 0, limits=LIMITS)
    listener.start()
    yield listener.port
    listener.stop()
    store.close()


def test_a_crowd_that_says_nothing_shuts_nobody_out_and_goes(port: int) -> None:
    with ExitStack() as crowd:
        strangers = []
        for _ in range(5 * LIMITS.at_once):
            stranger = crowd.enter_context(socket.socket())
            stranger.settimeout(10)
            stranger.bind(("127.0.0.66", 0))
            # Where the kernel is slow to tell, the door may have cut it before it knows that it is connected.
            with suppress(ConnectionError):
                stranger.connect(("127.0.0.1", port))
                strangers.append(stranger)
        assert len(strangers) > LIMITS.at_once
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200
        for stranger in strangers:
            stranger.settimeout(15)
            with suppress(ConnectionError):
                assert stranger.recv(1) == b""


def test_a_body_that_does_not_end_is_answered(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 10) as wire:
        head = f"POST /api/v1/edges/edge-1/status HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 100\r\n\r\n{{"
        wire.sendall(head.encode())
        said = b""
        while b"}}" not in said:
            piece = wire.recv(65_536)
            assert piece, said
            said += piece
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"KF186"' in said
