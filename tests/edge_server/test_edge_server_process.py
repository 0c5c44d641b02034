"""The edge server as a real process, with a real broker: killed, refused, fed with rubbish, stopped."""

from __future__ import annotations

import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest

from edge_server.beacon import lan_addresses
from edge_server.store.file import open_store
from node.broker.address import format_broker
from node.broker.mosquitto import MosquittoBroker, find_mosquitto
from node.broker.paho_client import PahoClient
from node.broker.port import BrokerAddress, Received
from node.link import Link, death_will
from node.outbox.entry import Limits
from node.outbox.outbox import Outbox
from protocol.codec import decode, encode
from protocol.messages import Ack, Birth
from protocol.topics import ACK, ALARM, HEALTH, OBSERVATION, PRESENCE
from tests.notify_socket import NotifySocket

EDGE = [sys.executable, "-c", "from kinflow.main import main; main()", "edge", "run", "--id", "edge-test"]

# Once for each of the two connections: what is urgent, and what fills queues.
CONNECTED = "connected to 127.0.0.1"


class Edge:
    """Starts and ends edge server processes over one state folder."""

    def __init__(self, home: Path, repository: Path, broker: BrokerAddress | None, port: int) -> None:
        self.home = home
        self.port = port
        self._repository = repository
        self._broker = broker
        self._log = home / "edge.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self._log.read_text()

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        self.home.mkdir(exist_ok=True)
        environment = {**os.environ, "KINFLOW_HOME": str(self.home)}
        if self._broker is not None:
            environment["KINFLOW_BROKER_URL"] = format_broker(self._broker, with_password=True)
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*EDGE, "--port", str(self.port), *arguments], cwd=self._repository, env=environment, stderr=log
            )
        return self.process

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(f"file:{self.home / 'edge.db'}?mode=ro", uri=True)) as store:
            return store.execute(query).fetchall()

    def ready(self) -> bool:
        """The door is open, and the broker is reached."""
        if self.log.count(CONNECTED) < 2:
            return False
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


@dataclass(frozen=True)
class Place:
    """Where edge servers can be started."""

    folder: Path
    repository: Path
    free_port: Callable[[], int]

    def edge(self, name: str, broker: BrokerAddress | None) -> Edge:
        return Edge(self.folder / name, self.repository, broker, self.free_port())


@pytest.fixture
def place(tmp_path: Path, repository: Path, free_port: Callable[[], int]) -> Place:
    return Place(tmp_path, repository, free_port)


@pytest.fixture
def edge(place: Place, mosquitto: MosquittoBroker) -> Iterator[Edge]:
    edge = place.edge("edge", mosquitto.address)
    yield edge
    edge.kill()


class Agent:
    """A real link and outbox; remembers every number that was acknowledged."""

    def __init__(self, broker: MosquittoBroker, device, limits: Limits | None = None) -> None:
        self.device = device
        identity = device.identity
        self.acked: set[int] = set()
        self.client = PahoClient(broker.address, device.name, death_will(identity))
        self.outbox = Outbox(identity.boot, identity.clock, None, limits)
        self.link = Link(identity, self.client, self.outbox, birth=device.birth)
        self.client.subscribe(ACK.of(device.name), 0, self._acked)
        self.link.start()

    def _acked(self, received: Received) -> None:
        ack = decode(ACK, received.payload)
        assert isinstance(ack, Ack)
        self.acked |= {seq for first, last in ack.ranges for seq in range(first, last + 1)}


@pytest.fixture
def agent(mosquitto: MosquittoBroker, device) -> Iterator[Agent]:
    agent = Agent(mosquitto, device)
    yield agent
    agent.link.stop()


def has_more_than(numbers: set[int], wanted: int) -> bool:
    return len(numbers) > wanted


@pytest.mark.timeout(90)
def test_kill_9_while_messages_flow_loses_nothing_that_was_acknowledged(
    edge: Edge, agent: Agent, eventually: Callable[..., None]
) -> None:
    flowing = threading.Event()
    flowing.set()
    kinds: dict[int, str] = {}

    def speak() -> None:
        while flowing.is_set():
            for _ in range(5):
                seen = agent.device.observation()
                kinds[seen.seq] = "observations"
                agent.link.send(OBSERVATION, seen, "north-1", wait=True)
            alarm = agent.device.alarm()
            kinds[alarm.seq] = "alarms"
            agent.link.send(ALARM, alarm, wait=True)
            flowing_pause.wait(0.02)

    flowing_pause = threading.Event()
    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    chance = random.Random(7)
    try:
        for _ in range(4):
            edge.start()
            wanted = len(agent.acked) + chance.randrange(10, 200)
            eventually(partial(has_more_than, agent.acked, wanted), within_s=30)
            edge.kill()
            acknowledged = set(agent.acked)
            stored = {seq for (seq,) in edge.rows("SELECT seq FROM observations UNION ALL SELECT seq FROM alarms")}
            assert acknowledged <= stored
    finally:
        flowing.clear()
    # A speaker that its outbox holds back goes on only when somebody acknowledges again.
    edge.start()
    speaker.join()
    eventually(lambda: set(kinds) <= agent.acked, within_s=30)
    for table in ("observations", "alarms"):
        numbers = sorted(seq for (seq,) in edge.rows(f"SELECT seq FROM {table} WHERE source = 'cam-1'"))
        assert numbers == sorted(seq for seq, kind in kinds.items() if kind == table)
    assert edge.rows("SELECT * FROM gaps WHERE source = 'cam-1'") == []


def test_rubbish_is_counted_and_harms_nobody(
    edge: Edge, agent: Agent, mosquitto: MosquittoBroker, eventually: Callable[..., None]
) -> None:
    edge.start()
    eventually(edge.ready)
    topic = ALARM.of(agent.device.name)
    good = encode(agent.device.alarm())
    rubbish = PahoClient(mosquitto.address, "rubbish")
    rubbish.start()
    eventually(lambda: rubbish.connected and agent.client.connected)
    for name, payload in (
        (topic, good.replace(b'"v":1', b'"v":7')),
        (topic, b"\xc3\x28 no UTF-8 \xff"),
        (topic, good.replace(b'"source":"cam-1"', b'"source":"cam-9"')),
        (topic, b" " * 200_000),
        ("kinflow/1/NO-ID/alarm", good),
        ("kinflow/1/..%2f/alarm", good),
    ):
        assert rubbish.publish(name, payload, 1)
    eventually(lambda: edge.rows("SELECT count(*) FROM rejects") == [(6,)])
    # The broker itself throws out whoever sends more than it takes for a message at all. (Only now: whoever is thrown
    # out sends again what was not acknowledged.)
    rubbish.publish(topic, b"x" * 10_000_000, 1)
    agent.link.send(ALARM, agent.device.alarm())
    eventually(lambda: 2 in agent.acked)
    rubbish.stop()
    assert edge.rows("SELECT code, count(*) FROM rejects GROUP BY code") == [
        ("KF11", 1), ("KF12", 1), ("KF13", 1), ("KF14", 3)
    ]  # fmt: skip
    assert edge.rows("SELECT seq FROM alarms WHERE source <> 'edge-test'") == [(2,)]


def test_it_registers_stops_in_good_order_and_says_good_bye(
    edge: Edge, mosquitto: MosquittoBroker, eventually: Callable[..., None]
) -> None:
    told: list[object] = []
    listener = PahoClient(mosquitto.address, "listener")
    listener.subscribe(PRESENCE.every(), 1, lambda received: told.append(decode(PRESENCE, received.payload)))
    listener.start()
    process = edge.start()
    eventually(lambda: any(isinstance(one, Birth) and one.role == "edge" for one in told))
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    eventually(lambda: told and getattr(told[-1], "reason", "") == "shutdown", within_s=5)
    listener.stop()
    assert "Traceback" not in edge.log
    assert [one for one in edge.home.glob("edge.db-wal") if one.stat().st_size] == []


def test_a_port_in_use_is_told_by_its_code(edge: Edge) -> None:
    with socket.create_server(("127.0.0.1", edge.port)):
        assert edge.start().wait(20) == 48
    assert "KF48" in edge.log
    assert str(edge.port) in edge.log
    assert "Traceback" not in edge.log


def test_one_store_has_one_edge_server(edge: Edge, place: Place, mosquitto, eventually) -> None:
    edge.start()
    eventually(edge.ready)
    other = place.edge("edge", mosquitto.address)  # the same state folder, another port
    assert other.start().wait(20) == 53
    assert "KF53" in edge.log
    assert "Traceback" not in edge.log
    edge.kill()
    edge.start()
    eventually(lambda: edge.log.count(CONNECTED) == 4)


def test_a_store_from_the_future_is_told_by_its_code_and_left_alone(edge: Edge) -> None:
    connection = open_store(edge.home / "edge.db").connection
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    before = (edge.home / "edge.db").read_bytes()
    assert edge.start().wait(20) == 51
    assert "KF51" in edge.log
    assert (edge.home / "edge.db").read_bytes() == before


def test_two_edge_servers_on_one_broker_are_noticed(edge: Edge, place: Place, mosquitto, eventually) -> None:
    other = place.edge("other", mosquitto.address)
    try:
        edge.start()
        eventually(edge.ready)
        other.start("--id", "edge-other")
        query = "SELECT code FROM alarms WHERE alarm = 'second-edge' AND active"
        for one in (edge, other):
            eventually(one.ready)
            eventually(lambda one=one: one.rows(query) == [("KF76",)])
    finally:
        other.kill()


@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
def test_it_starts_a_broker_of_its_own(kind: str, place: Place, device, eventually) -> None:
    if kind == "mosquitto" and find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    broker_port = place.free_port()
    edge = place.edge("own", None)
    edge.start("--embed", kind, "--broker-port", str(broker_port))
    try:
        eventually(edge.ready)
        secret = edge.home / "broker-password"
        assert secret.stat().st_mode & 0o077 == 0
        address = BrokerAddress(port=broker_port, username="kinflow", password=secret.read_text().strip())
        client = PahoClient(address, "cam-1")
        acked: list[Received] = []
        client.subscribe(ACK.of(device.name), 0, acked.append)
        client.start()
        eventually(lambda: client.connected)
        health = device.health()
        assert client.publish(HEALTH.of(device.name), encode(health), 1)
        eventually(lambda: acked)
        client.stop()
        edge.process.send_signal(signal.SIGINT)
        assert edge.process.wait(15) == 0
        with pytest.raises(OSError):  # noqa: PT011 (refused, and nothing else would tell more)
            socket.create_connection(("127.0.0.1", broker_port), 1)
    finally:
        edge.kill()


def reachable(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 2).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not lan_addresses(), reason="this machine has no network but itself")
@pytest.mark.parametrize("asked", [False, True])
def test_nothing_listens_beyond_loopback_unless_asked(asked: bool, place: Place, eventually) -> None:
    broker_port = place.free_port()
    edge = place.edge("own", None)
    edge.start("--embed", "amqtt", "--broker-port", str(broker_port), *(["--host", "0.0.0.0"] if asked else []))
    try:
        eventually(edge.ready)
        address = lan_addresses()[0]
        assert reachable(address, edge.port) is asked
        assert not reachable(address, broker_port), "the broker's door by password is for this machine alone"
    finally:
        edge.kill()


@pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")
def test_its_own_broker_is_started_again_when_it_is_killed(place: Place, eventually) -> None:
    edge = place.edge("own", None)
    edge.start("--embed", "mosquitto", "--broker-port", str(place.free_port()))
    try:
        eventually(edge.ready)
        (broker,) = psutil.Process(edge.process.pid).children()
        broker.kill()
        eventually(lambda: edge.log.count(CONNECTED) == 4)
        assert "it runs again" in edge.log
    finally:
        edge.kill()


@pytest.mark.timeout(60)
def test_a_service_manager_hears_when_the_edge_is_ready_lives_and_stops(
    place: Place,
    tmp_path: Path,
    free_port: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[..., None],
) -> None:
    """With a broker of its own, which is a child: only one process says that it is ready."""
    with NotifySocket(tmp_path / "notify") as manager:
        for name, value in manager.environment(watchdog_s=0.6).items():
            monkeypatch.setenv(name, value)
        edge = place.edge("watched", None)
        process = edge.start("--broker-port", str(free_port()))
        try:
            eventually(lambda: manager.count("WATCHDOG=1") > 3)
            assert manager.heard[0] == "READY=1"
            assert manager.count("READY=1") == 1
            process.send_signal(signal.SIGTERM)
            eventually(lambda: "STOPPING=1" in manager.heard)
            assert process.wait(20) == 0
        finally:
            edge.kill()
