"""Bad messages through a real broker into a real edge server: each is refused by its code, and no good one is lost."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_server.server import EdgeOptions, EdgeServer
from node.broker.mosquitto import MosquittoBroker
from node.broker.paho_client import PahoClient
from node.broker.port import Received
from protocol.codec import decode, encode
from protocol.ids import DeviceId, SiteId
from protocol.messages import Ack
from protocol.site import Site
from protocol.topics import ACK, ALARM

TOPIC = ALARM.of(DeviceId("cam-1"))


@pytest.fixture
def edge(tmp_path: Path, mosquitto: MosquittoBroker, free_port: Callable[[], int]) -> Iterator[EdgeServer]:
    options = EdgeOptions(
        home=tmp_path / "home",
        database=tmp_path / "home" / "edge.db",
        device=DeviceId("edge-test"),
        version="1",
        site=Site(id=SiteId("site")),
        port=free_port(),
        broker=mosquitto.address,
    )
    server = EdgeServer(options)
    server.start()
    yield server
    server.stop()


class Sender:
    """Publishes what it is given, true or not, as a device that was let in; and hears what is acknowledged to cam-1."""

    def __init__(self, broker: MosquittoBroker) -> None:
        self.acked: set[int] = set()
        self.client = PahoClient(broker.address, "sender")
        self.client.subscribe(ACK.of(DeviceId("cam-1")), 0, self._acked)
        self.client.start()

    def send(self, topic: str, payload: bytes) -> None:
        assert self.client.publish(topic, payload, 1)

    def _acked(self, received: Received) -> None:
        ack = decode(ACK, received.payload)
        assert isinstance(ack, Ack)
        self.acked |= {seq for first, last in ack.ranges for seq in range(first, last + 1)}


@pytest.fixture
def sender(mosquitto: MosquittoBroker, edge: EdgeServer, eventually: Callable[..., None]) -> Iterator[Sender]:
    sender = Sender(mosquitto)
    eventually(lambda: sender.client.connected and edge.context.broker_connected())
    yield sender
    sender.client.stop()


def rows(tmp_path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{tmp_path / 'home' / 'edge.db'}?mode=ro", uri=True)) as store:
        return store.execute(query).fetchall()


def seq(number: bytes) -> Callable[[bytes], bytes]:
    return lambda good: re.sub(rb'"seq":\d+', b'"seq":' + number, good)


def text(value: bytes) -> Callable[[bytes], bytes]:
    return lambda good: good.replace(b"The picture stands still.", value)


BAD: dict[str, tuple[str, str, Callable[[bytes], bytes]]] = {
    "another version": ("KF13", TOPIC, lambda good: good.replace(b'"v":1', b'"v":2')),
    "another version with other fields": ("KF13", TOPIC, lambda _: b'{"kind":"riddle","v":9,"answer":42}'),
    "invalid UTF-8 throughout": ("KF11", TOPIC, lambda _: b"\xff\xfe\xc3\x28"),
    "invalid UTF-8 inside": ("KF11", TOPIC, text(b"\xc3\x28")),
    "nothing at all": ("KF11", TOPIC, lambda _: b""),
    "no object": ("KF11", TOPIC, lambda _: b"null"),
    "cut short": ("KF11", TOPIC, lambda good: good[: len(good) // 2]),
    "two in one": ("KF11", TOPIC, lambda good: good + good),
    "of another kind": ("KF11", TOPIC, lambda good: good.replace(b'"kind":"alarm"', b'"kind":"health"')),
    "nested without end": ("KF11", TOPIC, lambda _: b'{"kind":"alarm","x":' + b"[" * 60_000),
    "a field too long": ("KF11", TOPIC, text(b"A" * 5_000)),
    "a number below zero": ("KF11", TOPIC, seq(b"-1")),
    "a number beyond all": ("KF11", TOPIC, seq(b"99999999999999999999999")),
    "a number that is infinite": ("KF11", TOPIC, seq(b"1e999")),
    "too large": ("KF12", TOPIC, lambda good: b" " * 70_000 + good),
    "of another device": ("KF14", ALARM.of(DeviceId("cam-2")), lambda good: good),
    "a source that leaves its topic": ("KF11", TOPIC, lambda good: good.replace(b'"cam-1"', b'"../edge-test"')),
    "a topic of dots": ("KF14", "kinflow/1/../alarm", lambda good: good),
    "a topic in capitals": ("KF14", "kinflow/1/CAM-1/alarm", lambda good: good),
    "a topic without a device": ("KF14", "kinflow/1//alarm", lambda good: good),
    "a topic with an escape": ("KF14", "kinflow/1/cam-1%2f../alarm", lambda good: good),
    "a topic of 300 letters": ("KF14", f"kinflow/1/{'a' * 300}/alarm", lambda good: good),
    "a camera of dots": ("KF14", "kinflow/1/cam-1/observation/..", lambda good: good),
}


def test_each_is_refused_by_its_code_and_every_good_one_between_them_is_stored(
    edge: EdgeServer, sender: Sender, device, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    good = []
    for _, topic, spoil in BAD.values():
        good.append(device.alarm())
        sender.send(TOPIC, encode(good[-1]))
        # Good but for one thing; were it taken, it would not be counted among the refused.
        sender.send(topic, spoil(encode(good[-1])))
    eventually(lambda: sender.acked == {alarm.seq for alarm in good})
    wanted = Counter(code for code, _, _ in BAD.values())
    eventually(lambda: edge.context.figures().rejected == wanted)
    eventually(lambda: len(rows(tmp_path, "SELECT * FROM rejects")) == len(BAD))
    assert Counter(code for (code,) in rows(tmp_path, "SELECT code FROM rejects")) == wanted
    stored = rows(tmp_path, "SELECT source, seq, text FROM alarms ORDER BY seq")
    assert stored == [("cam-1", alarm.seq, alarm.text) for alarm in good]
    assert set(edge.context.devices()) <= {DeviceId("cam-1"), DeviceId("edge-test")}


def test_a_repeated_number_is_stored_once_and_acknowledged_again(
    sender: Sender, device, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    first = device.alarm()
    for payload in (encode(first), encode(first), text(b"Another text.")(encode(first))):
        sender.acked.clear()
        sender.send(TOPIC, payload)
        eventually(lambda: sender.acked == {first.seq})
    assert rows(tmp_path, "SELECT seq, text FROM alarms") == [(first.seq, first.text)]


def test_ten_megabytes_are_the_sender_s_own_loss(
    edge: EdgeServer, sender: Sender, device, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    sender.send(TOPIC, b"x" * 10_000_000)
    eventually(lambda: not sender.client.connected)  # the broker throws it out
    eventually(lambda: sender.client.connected)
    last = device.alarm()
    sender.send(TOPIC, encode(last))
    eventually(lambda: sender.acked == {last.seq})
    assert edge.context.broker_connected()
    assert rows(tmp_path, "SELECT count(*) FROM alarms") == [(1,)]
