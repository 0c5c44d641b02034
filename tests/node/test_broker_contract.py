"""One contract: mosquitto, amqtt and the memory broker behave alike behind the broker port."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.broker.host import start_broker
from node.broker.memory import MemoryBroker
from node.broker.mosquitto import find_mosquitto
from node.broker.paho_client import PahoClient
from node.broker.port import BrokerAddress, BrokerClient, BrokerHost, Received, Will
from node.errors import BrokerRefused, BrokerUnreachable

PASSWORD = "correct horse"


class Harness:
    """A broker, its clients, and a way to end one client's connection without a good-bye."""

    host: BrokerHost | MemoryBroker

    def __init__(self) -> None:
        self._clients: list[BrokerClient] = []

    def start(self, client: BrokerClient, wait: bool = True) -> BrokerClient:
        client.start()
        self._clients.append(client)
        if wait:
            self.wait(lambda: client.connected)
        return client

    def wait(self, condition: Callable[[], object], seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true"
            time.sleep(0.01)

    def new(self, client_id: str, will: Will | None = None, address: BrokerAddress | None = None) -> BrokerClient:
        raise NotImplementedError

    def kill(self, client_id: str) -> None:
        raise NotImplementedError

    def close(self) -> None:
        for client in self._clients:
            client.stop()
        self.host.stop()


class RealHarness(Harness):
    def __init__(self, kind, folder, port, proxy_to) -> None:
        super().__init__()
        self.host = start_broker(kind, folder, port, PASSWORD)
        self._proxy_to = proxy_to
        self._proxies = {}

    def new(self, client_id, will=None, address=None):
        if address is None:
            self._proxies[client_id] = self._proxy_to(self.host.address.port)
            address = dataclasses.replace(self.host.address, port=self._proxies[client_id].port)
        return PahoClient(address, client_id, will)

    def kill(self, client_id):
        self._proxies[client_id].cut()


class MemoryHarness(Harness):
    def __init__(self) -> None:
        super().__init__()
        self.host = MemoryBroker(PASSWORD)
        self.host.start()

    def new(self, client_id, will=None, address=None):
        return self.host.client(client_id, will, address)

    def kill(self, client_id):
        self.host.kill(client_id)


@pytest.fixture(params=["memory", "mosquitto", "amqtt"])
def broker(request: pytest.FixtureRequest, tmp_path: Path, free_port, proxy_to) -> Iterator[Harness]:
    if request.param == "mosquitto" and find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    if request.param == "memory":
        harness: Harness = MemoryHarness()
    else:
        harness = RealHarness(request.param, tmp_path, free_port(), proxy_to)
    yield harness
    harness.close()


def listen(harness: Harness, topic_filter: str, client_id: str = "listener", qos: int = 1) -> list[Received]:
    """A connected client's growing list of what arrived."""
    arrived: list[Received] = []
    client = harness.new(client_id)
    client.subscribe(topic_filter, qos, arrived.append)
    harness.start(client)
    return arrived


@pytest.mark.parametrize("qos", [0, 1])
def test_delivers_in_order(broker: Harness, qos: int) -> None:
    arrived = listen(broker, "a/b", qos=qos)
    sender = broker.start(broker.new("sender"))
    for number in range(50):
        assert sender.publish("a/b", b"%d" % number, qos)
    broker.wait(lambda: len(arrived) >= 50)
    assert arrived == [Received("a/b", b"%d" % number, retained=False) for number in range(50)]


def test_wildcard_matches_one_level(broker: Harness) -> None:
    arrived = listen(broker, "site/1/+/alarm")
    sender = broker.start(broker.new("sender"))
    for topic in ("site/1/x/other", "site/1/x/alarm/deep", "site/2/x/alarm", "site/1/x/alarm", "site/1/y/alarm"):
        assert sender.publish(topic, topic.encode(), 1)
    broker.wait(lambda: len(arrived) >= 2)
    assert [one.topic for one in arrived] == ["site/1/x/alarm", "site/1/y/alarm"]


def test_two_callbacks_of_one_filter_both_hear(broker: Harness) -> None:
    first: list[Received] = []
    second: list[Received] = []
    client = broker.new("listener")
    client.subscribe("t", 1, first.append)
    client.subscribe("t", 1, second.append)
    broker.start(client)
    assert client.publish("t", b"x", 1)
    broker.wait(lambda: first and second)


def test_overlapping_filters_both_hear(broker: Harness) -> None:
    own: list[Received] = []
    every: list[Received] = []
    client = broker.new("listener")
    client.subscribe("a/x", 1, own.append)
    client.subscribe("a/+", 1, every.append)
    broker.start(client)
    assert client.publish("a/x", b"1", 1)
    assert client.publish("a/y", b"2", 1)
    broker.wait(lambda: any(one.payload == b"2" for one in every))
    assert {one.payload for one in own} == {b"1"}
    assert {one.payload for one in every} == {b"1", b"2"}


def test_a_subscription_made_while_connecting_is_not_forgotten(broker: Harness) -> None:
    arrived: list[Received] = []
    client = broker.new("listener")
    client.subscribe("early", 1, arrived.append)
    broker.start(client, wait=False)
    for number in range(20):
        client.subscribe(f"late/{number}", 1, arrived.append)
    broker.wait(lambda: client.connected)
    sender = broker.start(broker.new("sender"))

    def heard_all() -> bool:
        for topic in ("early", *[f"late/{number}" for number in range(20)]):
            sender.publish(topic, b"", 1)
        return len({one.topic for one in arrived}) == 21

    broker.wait(heard_all)


def test_a_callback_that_raises_harms_nobody(broker: Harness) -> None:
    arrived: list[Received] = []

    def callback(received: Received) -> None:
        arrived.append(received)
        raise RuntimeError("a handler's own fault")

    client = broker.new("listener")
    client.subscribe("t", 1, callback)
    broker.start(client)
    assert client.publish("t", b"1", 1)
    assert client.publish("t", b"2", 1)
    broker.wait(lambda: len(arrived) == 2)
    assert client.connected


def test_retained_is_set_replaced_and_cleared(broker: Harness) -> None:
    live = listen(broker, "r", "live")
    sender = broker.start(broker.new("sender"))
    assert sender.publish("r", b"one", 1, retained=True)
    assert sender.publish("r", b"two", 1, retained=True)
    broker.wait(lambda: len(live) == 2)
    assert not any(one.retained for one in live)

    late = listen(broker, "r", "late")
    broker.wait(lambda: late)
    assert late == [Received("r", b"two", retained=True)]

    assert sender.publish("r", b"", 1, retained=True)
    broker.wait(lambda: len(live) == 3)
    later = listen(broker, "#", "later")
    assert sender.publish("end", b"", 1)
    broker.wait(lambda: later)
    assert [one.topic for one in later] == ["end"]


def test_subscribing_while_connected_brings_what_is_retained(broker: Harness) -> None:
    sender = broker.start(broker.new("sender"))
    assert sender.publish("r", b"x", 1, retained=True)
    arrived: list[Received] = []
    sender.subscribe("r", 1, arrived.append)
    broker.wait(lambda: arrived)
    assert arrived[-1].payload == b"x"


def test_will_comes_when_the_connection_is_killed(broker: Harness) -> None:
    arrived = listen(broker, "w")
    broker.start(broker.new("mortal", Will("w", b"dead")))
    broker.kill("mortal")
    broker.wait(lambda: arrived)
    assert arrived[0].payload == b"dead"
    late = listen(broker, "w", "late")
    broker.wait(lambda: late)
    assert late[0].retained


def test_no_will_after_a_good_bye(broker: Harness) -> None:
    arrived = listen(broker, "#")
    mortal = broker.start(broker.new("mortal", Will("w", b"dead")))
    assert mortal.publish("last-words", b"", 1)
    mortal.stop()
    broker.wait(lambda: arrived)
    witness = broker.start(broker.new("witness"))
    assert witness.publish("end", b"", 1)
    broker.wait(lambda: len(arrived) >= 2)
    assert [one.topic for one in arrived] == ["last-words", "end"]


def test_reconnects_and_subscribes_again_after_a_restart(broker: Harness) -> None:
    changes: list[bool] = []
    arrived: list[Received] = []
    client = broker.new("listener")
    client.watch(changes.append)
    client.subscribe("t", 1, arrived.append)
    broker.start(client)
    broker.host.stop()
    broker.wait(lambda: not client.connected)
    assert client.publish("t", b"too early", 1) is False
    assert client.publish("t", b"too early", 0) is False
    broker.host.start()
    broker.wait(lambda: changes == [True, False, True])
    assert client.publish("t", b"now", 1)
    broker.wait(lambda: arrived)
    assert [one.payload for one in arrived] == [b"now"]


@pytest.mark.parametrize("qos", [0, 1])
def test_what_was_refused_while_down_is_never_sent(broker: Harness, qos: int) -> None:
    arrived = listen(broker, "t")
    sender = broker.start(broker.new("sender"))
    broker.kill("sender")
    broker.wait(lambda: not sender.connected)
    broker.wait(lambda: sender.publish("t", b"refused", qos) or sender.connected)
    refused_only = [one for one in arrived if one.payload == b"refused"]
    broker.wait(lambda: sender.connected)
    broker.wait(lambda: sender.publish("t", b"after", qos))
    broker.wait(lambda: any(one.payload == b"after" for one in arrived))
    # At most the one publish() that returned True, and nothing after the fact.
    assert len([one for one in arrived if one.payload == b"refused"]) <= 1
    assert len(refused_only) <= 1


def test_a_large_payload_passes(broker: Harness) -> None:
    arrived = listen(broker, "big")
    payload = bytes(range(256)) * 234
    sender = broker.start(broker.new("sender"))
    assert sender.publish("big", payload, 1)
    broker.wait(lambda: arrived)
    assert arrived[0].payload == payload


def test_topics_may_be_any_utf8(broker: Harness) -> None:
    arrived = listen(broker, "straße/+/é")
    sender = broker.start(broker.new("sender"))
    assert sender.publish("straße/東京/é", b"x", 1)
    broker.wait(lambda: arrived)
    assert arrived[0].topic == "straße/東京/é"


def test_a_wrong_password_is_a_clear_error(broker: Harness) -> None:
    address = dataclasses.replace(broker.host.address, password="wrong secret")
    client = broker.start(broker.new("intruder", address=address), wait=False)
    broker.wait(lambda: client.error is not None)
    assert isinstance(client.error, BrokerRefused)
    assert "wrong secret" not in str(client.error)
    assert not client.connected


def test_an_absent_broker_is_a_clear_error(broker: Harness) -> None:
    broker.host.stop()
    client = broker.start(broker.new("lonely", address=broker.host.address), wait=False)
    broker.wait(lambda: client.error is not None)
    assert isinstance(client.error, BrokerUnreachable)
    broker.host.start()
    broker.wait(lambda: client.connected)
    assert client.error is None


def test_many_clients(broker: Harness) -> None:
    arrived = listen(broker, "many/+")
    clients = [broker.start(broker.new(f"c{number}", address=broker.host.address), wait=False) for number in range(40)]
    for number, client in enumerate(clients):
        broker.wait(lambda client=client: client.connected)
        assert client.publish(f"many/{number}", b"x", 1)
    broker.wait(lambda: len(arrived) == 40)
    assert {one.topic for one in arrived} == {f"many/{number}" for number in range(40)}
