"""A client of several brokers: it finds the one that works, keeps to it, and leaves it when it is gone."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node.broker.mosquitto import MosquittoBroker, find_mosquitto
from node.broker.paho_client import PahoClient
from node.broker.port import BrokerAddress
from node.errors import BrokerTrustUnusable, BrokerUnreachable

pytestmark = pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")


@pytest.fixture
def brokers(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[tuple[MosquittoBroker, MosquittoBroker]]:
    pair = tuple(MosquittoBroker(tmp_path / name, free_port(), "pw") for name in ("one", "two"))
    for broker in pair:
        broker.start()
    yield pair
    for broker in pair:
        broker.stop()


@contextmanager
def running(*addresses: BrokerAddress, **more: object) -> Iterator[PahoClient]:
    client = PahoClient(addresses, "c", **more)
    client.start()
    try:
        yield client
    finally:
        client.stop()


def hears(broker: MosquittoBroker, client: PahoClient, wait_until: Callable[..., None]) -> None:
    """Wait until the client is connected to this broker of the two."""
    heard: list[object] = []
    witness = PahoClient(broker.address, "witness")
    witness.subscribe("here", 1, heard.append)
    witness.start()
    wait_until(lambda: witness.connected and client.publish("here", b"", 1) and heard)
    witness.stop()


def test_it_keeps_to_the_one_that_works_and_leaves_it_when_it_is_gone(brokers, wait_until) -> None:
    one, two = brokers
    changes: list[bool] = []
    client = PahoClient([one.address, two.address], "c")
    client.watch(changes.append)
    client.start()
    hears(one, client, wait_until)
    one.stop()
    hears(two, client, wait_until)
    one.start()
    hears(two, client, wait_until)
    assert changes == [True, False, True], "that the first is back moves nobody"
    two.stop()
    hears(one, client, wait_until)
    client.stop()


@pytest.mark.parametrize("silence", ["accepts and says nothing", "drops what comes"])
def test_a_host_that_says_nothing_keeps_nobody_from_the_other(silence: str, brokers, wait_until) -> None:
    backlog = 1 if silence.startswith("accepts") else 0
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as mute:
        port = mute.getsockname()[1]
        # With its backlog full, the kernel answers nobody else who knocks: a host that vanished.
        waiting = [_begin(port) for _ in range(4)] if backlog == 0 else []
        with running(BrokerAddress(port=port), brokers[1].address, keepalive_s=1) as client:
            wait_until(lambda: client.connected)
        for one in waiting:
            one.close()


def test_one_that_refuses_is_passed_over(brokers, wait_until) -> None:
    stranger = BrokerAddress(port=brokers[0].address.port, username="kinflow", password="wrong")
    with running(stranger, brokers[1].address) as client:
        wait_until(lambda: client.connected)
        assert client.error is None


def test_its_tls_is_asked_for_at_each_connection_and_may_fail_for_a_while(brokers, wait_until) -> None:
    asked: list[int] = []

    def context() -> object:
        asked.append(1)
        raise BrokerTrustUnusable(path="ca.pem", detail="gone")

    with running(BrokerAddress(port=brokers[0].address.port, tls=True), tls=context) as client:
        wait_until(lambda: len(asked) >= 3)
        assert isinstance(client.error, BrokerTrustUnusable)


def test_none_that_answers_is_a_clear_error(free_port, wait_until) -> None:
    with running(BrokerAddress(port=free_port()), BrokerAddress(port=free_port())) as client:
        wait_until(lambda: client.error is not None)
        assert isinstance(client.error, BrokerUnreachable)


def _begin(port: int) -> socket.socket:
    wire = socket.socket()
    wire.setblocking(False)
    wire.connect_ex(("127.0.0.1", port))
    return wire
