"""A real edge server with its real limits: somebody floods both of its ports, and everybody else does their work."""

from __future__ import annotations

import json
import resource
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from node.broker.mosquitto import find_mosquitto
from node.trust.tls import PinnedContext
from tests.edge_server.trust.test_joining_process import HOST, Device, EdgeProcess, join, until

GUEST = "127.0.0.7"
HALF_OPEN, SLOW, SILENT = 3_000, 600, 1_500
MIB = 1024 * 1024

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    # paho leaves a socket that the broker refused to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
]


# A process of its own, as the stranger is: what it has open is not what the others have.
FLOOD = """
import contextlib, resource, socket, ssl, sys, time

http, mqtts, half_open, slow, silent = map(int, sys.argv[2:])
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
context = ssl._create_unverified_context()
held, dripping = [], []

def comes(port):
    with contextlib.suppress(OSError):
        held.append(socket.create_connection((sys.argv[1], port), 5, source_address=("127.0.0.66", 0)))
        return held[-1]

for _ in range(silent):
    comes(mqtts)
for _ in range(half_open):
    comes(http)
for _ in range(slow):
    with contextlib.suppress(OSError, AttributeError):
        dripping.append(context.wrap_socket(comes(http)))
        dripping[-1].sendall(b"GET /login HTTP/1.1\\r\\n")
print(len(held), flush=True)
while True:
    for one in dripping:
        with contextlib.suppress(OSError):
            one.sendall(b"X: y\\r\\n")
    for _ in range(200):
        if len(held) < most - 300 and (wire := comes(http)) is not None:
            wire.close()
    time.sleep(1)
"""


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[EdgeProcess]:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2 * (HALF_OPEN + SLOW + SILENT):
        pytest.skip("this user may not open so many files")
    made = EdgeProcess(tmp_path / "edge")
    yield made
    made.stop()


@contextmanager
def flood(edge: EdgeProcess) -> Iterator[int]:
    """Half-open connections, dripping heads and silent ones at the broker, all from one address; how many."""
    counts = map(str, (edge.http, edge.mqtts, HALF_OPEN, SLOW, SILENT))
    command = [sys.executable, "-c", FLOOD, HOST, *counts]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def stream(edge: EdgeProcess, context: ssl.SSLContext) -> ssl.SSLSocket:
    wire = context.wrap_socket(socket.create_connection((HOST, edge.http), 20, source_address=(GUEST, 0)))
    token = (edge.home / "edge-token").read_text().strip()
    head = f"GET /api/v1/events HTTP/1.1\r\nHost: {HOST}:{edge.http}\r\nAuthorization: Bearer {token}\r\n\r\n"
    wire.sendall(head.encode())
    return wire


def beats(wire: ssl.SSLSocket) -> int:
    """How often a stream that is still open has beaten since it was asked last."""
    heard = b""
    wire.settimeout(0.05)
    with suppress(TimeoutError):
        while True:
            piece = wire.recv(65_536)
            assert piece, "the stream was cut"
            heard += piece
    return heard.count(b"event: beat")


def sees_its_broker(edge: EdgeProcess) -> bool:
    status, state = edge.call("GET", "/state", prefix="/api/v1", operator=True)
    return status == 200 and all(server["broker_connected"] for server in state["servers"])


def test_a_site_goes_on_while_one_address_floods_it(edge: EdgeProcess, tmp_path: Path) -> None:
    context = PinnedContext((edge.home / "authority/ca.pem").read_text(), None)
    join(edge, tmp_path / "before", "cam-1")
    before = Device(tmp_path / "before").start()
    until(lambda: before.client.connected)
    streams = [stream(edge, context) for _ in range(6)]
    process, began = psutil.Process(edge.process.pid), time.monotonic()
    after = None
    try:
        with flood(edge) as came:
            assert came > HALF_OPEN
            join(edge, tmp_path / "after", "cam-2")
            after = Device(tmp_path / "after").start()
            until(lambda: after.client.connected)
            counts = [0] * len(streams)
            while min(counts) < 4:
                assert time.monotonic() - began < 200
                counts = [count + beats(one) for count, one in zip(counts, streams, strict=True)]
                assert edge.call("GET", "/healthz", prefix="")[0] == 200
                assert process.memory_info().rss < 400 * MIB
            assert before.changes == [True]
            # Its own broker ends in the middle of it: the edge server starts it again and finds it.
            (broker,) = (child for child in process.children() if "mosquitto" in child.name())
            broker.kill()
            until(lambda: before.changes[-1:] == [False])
            until(lambda: before.client.connected and after.client.connected and sees_its_broker(edge))
        log = (edge.home / "log/edge.jsonl").read_text().splitlines()
        told = [line for line in map(json.loads, log) if "KF187" in line["event"]]
        assert 0 < len(told) <= 1 + (time.monotonic() - began) / 60
    finally:
        for one in streams:
            one.close()
        for device in (before, after):
            if device is not None:
                device.stop()
