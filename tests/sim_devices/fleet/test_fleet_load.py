"""Simulated devices on a real broker: they register, keep what is not acknowledged, and leave."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.broker.amqtt_broker import AmqttBroker
from node.broker.mosquitto import MosquittoBroker, find_mosquitto
from node.broker.paho_client import PahoClient
from node.broker.port import BrokerHost, Received
from node.clock import SystemClock
from node.identity import Identity
from node.ports import any_free_port
from protocol.codec import decode_addressed, encode
from protocol.ids import DeviceId
from protocol.messages import Ack, Birth, Death, Message
from protocol.topics import ACK, ALARM, OBSERVATION, PRESENCE
from sim_devices.fleet import device as sim_device
from sim_devices.fleet.fleet import Load, Outcome, run_load


@pytest.fixture(params=["mosquitto", "amqtt"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BrokerHost]:
    if request.param == "mosquitto" and find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    kind = MosquittoBroker if request.param == "mosquitto" else AmqttBroker
    host: BrokerHost = kind(tmp_path, any_free_port(), "a password")
    host.start()
    yield host
    host.stop()


class Edge:
    """Acknowledges, from the second time on that it hears a message where it is told to be hard of hearing."""

    def __init__(self, broker: BrokerHost, deaf_once: bool = False) -> None:
        self.heard: list[Message] = []
        self._deaf_once = deaf_once
        self._identity = Identity(DeviceId("edge"), SystemClock())
        self.client = PahoClient(broker.address, "edge")
        for topic in (PRESENCE, OBSERVATION, ALARM):
            self.client.subscribe(topic.every(), topic.qos, self._take)
        self.client.start()

    def _take(self, received: Received) -> None:
        _, message = decode_addressed(received.topic, received.payload)
        again = any(one.id == message.id for one in self.heard)
        self.heard.append(message)
        if isinstance(message, Birth | Death) or (self._deaf_once and not again):
            return
        ack = Ack(**self._identity.live(), acked_boot=message.boot, ranges=((message.seq, message.seq),))
        self.client.publish(ACK.of(message.source), encode(ack), 0)


def run(broker: BrokerHost, rate: float, seconds: float) -> tuple[list[str], Outcome]:
    sent: list[str] = []
    load = Load(broker.address, devices=3, rate=rate, seconds=seconds, drain_s=15.0)
    outcome = asyncio.run(run_load(load, SystemClock(), lambda _approach, message, _at: sent.append(message)))
    return sent, outcome


def test_every_message_is_numbered_sent_and_acknowledged(broker: BrokerHost) -> None:
    edge = Edge(broker)
    sent, outcome = run(broker, rate=300, seconds=1.0)
    edge.client.stop()
    numbered = {(one.source, one.seq) for one in edge.heard if not isinstance(one, Birth | Death)}
    assert len(numbered) == sum(outcome.numbered.values()) > 100
    assert {one.id for one in edge.heard} >= set(sent)
    assert {one.source for one in edge.heard if isinstance(one, Birth)} == {f"bench-{n:05d}" for n in range(3)}
    assert (outcome.unacknowledged, outcome.held_back) == (0, 0)


def test_what_is_not_acknowledged_is_sent_again(broker: BrokerHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sim_device, "RESEND_AFTER_MS", 200)
    edge = Edge(broker, deaf_once=True)
    _, outcome = run(broker, rate=30, seconds=0.5)
    edge.client.stop()
    assert outcome.repeated >= sum(outcome.numbered.values())
    assert outcome.unacknowledged == 0


def test_a_full_window_holds_new_messages_back(broker: BrokerHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sim_device, "WINDOW", 5)
    load = Load(broker.address, devices=2, rate=200, seconds=0.5, drain_s=0.2)
    outcome = asyncio.run(run_load(load, SystemClock(), lambda *_: None))
    assert set(outcome.numbered.values()) == {5}
    assert outcome.held_back > 50
    assert outcome.unacknowledged == 10
