"""kill -9 of a real process, again and again, with a real broker: every alarm that was said arrives, and none twice."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.broker.host import start_broker
from node.broker.paho_client import PahoClient
from node.broker.port import BrokerHost, Received
from node.clock import SystemClock
from node.identity import Identity
from protocol.codec import decode, encode
from protocol.ids import DeviceId
from protocol.messages import Ack
from protocol.topics import ACK, ALARM, GAP, HEALTH, parse

ROOT = Path(__file__).parent.parent.parent
PASSWORD = "test"


class StoringEdge:
    """Commits what arrives to SQLite, then acknowledges: all that an outbox may expect of an edge server."""

    def __init__(self, broker: BrokerHost, path: Path) -> None:
        self.rows = 0
        self.repeated = 0
        self._identity = Identity(DeviceId("edge"), SystemClock())
        self._store = sqlite3.connect(path, check_same_thread=False)
        self._store.execute("CREATE TABLE message (source, boot, seq, text, PRIMARY KEY (source, boot, seq))")
        self._client = PahoClient(broker.address, "edge")
        for topic in (ALARM, HEALTH, GAP):
            self._client.subscribe(topic.every(), 1, self._store_and_acknowledge)
        self._client.start()

    def texts(self) -> list[str]:
        return [row[0] for row in self._store.execute("SELECT text FROM message WHERE text IS NOT NULL")]

    def close(self) -> None:
        self._client.stop()
        self._store.close()

    def _store_and_acknowledge(self, received: Received) -> None:
        topic = parse(received.topic).topic
        message = decode(topic, received.payload)
        text = message.text if topic is ALARM else None
        row = (message.source, message.boot, message.seq, text)
        fresh = self._store.execute("INSERT OR IGNORE INTO message VALUES (?, ?, ?, ?)", row).rowcount
        self._store.commit()
        self.rows += fresh
        self.repeated += 1 - fresh
        ack = Ack(**self._identity.live(), acked_boot=message.boot, ranges=((message.seq, message.seq),))
        self._client.publish(ACK.of(message.source), encode(ack), 0)


@pytest.fixture
def broker(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[BrokerHost]:
    host = start_broker("auto", tmp_path / "broker", free_port(), PASSWORD)
    yield host
    host.stop()


@pytest.fixture
def edge(broker: BrokerHost, tmp_path: Path) -> Iterator[StoringEdge]:
    storing = StoringEdge(broker, tmp_path / "edge.db")
    yield storing
    storing.close()


def victim(broker: BrokerHost, path: Path, life: int, mode: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(Path(__file__).with_name("outbox_victim.py"))]
    arguments = [str(broker.address.port), PASSWORD, str(path), str(life), mode]
    return subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"}
    )


def live_and_die(broker: BrokerHost, path: Path, life: int, chance: random.Random) -> list[str]:
    """One life, ended at a random instant after its first alarm; returns what it had said."""
    process = victim(broker, path, life, "speak")
    assert process.stdout is not None
    said = [process.stdout.readline().decode()]
    killer = threading.Timer(chance.choice([0.0, 0.01, 0.05, 0.2, 0.4]) * chance.random(), process.kill)
    killer.start()
    said += process.stdout.read().decode().splitlines(keepends=True)
    killer.join()
    process.stdout.close()
    process.wait()
    return [line.strip() for line in said if line.endswith("\n")]


def drain(broker: BrokerHost, path: Path, life: int) -> None:
    """A last life that only waits until the edge has acknowledged everything."""
    with victim(broker, path, life, "drain") as process:
        try:
            assert process.wait(45) == 0
        finally:
            process.kill()


def prove(broker: BrokerHost, edge: StoringEdge, folder: Path, lives: int, seed: int) -> None:
    chance = random.Random(seed)
    path = folder / "outbox.db"
    said = [line for life in range(lives) for line in live_and_die(broker, path, life, chance)]
    drain(broker, path, lives)
    deadline = time.monotonic() + 10
    while set(said) - set(edge.texts()):
        assert time.monotonic() < deadline, f"alarms lost: {sorted(set(said) - set(edge.texts()))[:10]}"
        time.sleep(0.05)
    stored = edge.texts()
    assert len(stored) == len(set(stored)), "an alarm is stored under two numbers"
    assert len(said) >= lives
    assert not list(folder.glob("outbox.db.corrupt-*"))


@pytest.mark.timeout(90)
def test_no_alarm_is_lost_by_kill_9(broker: BrokerHost, edge: StoringEdge, tmp_path: Path) -> None:
    prove(broker, edge, tmp_path, lives=20, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(2, 7))
def test_no_alarm_is_lost_by_many_more_kills(broker: BrokerHost, edge: StoringEdge, tmp_path: Path, seed: int) -> None:
    prove(broker, edge, tmp_path, lives=60, seed=seed)


@pytest.mark.timeout(90)
def test_no_alarm_is_lost_when_the_broker_is_killed_too(broker: BrokerHost, edge: StoringEdge, tmp_path: Path) -> None:
    """The broker forgets everything with each restart; what it took and didn't deliver is sent again."""
    path = tmp_path / "outbox.db"
    chance = random.Random(7)
    said: list[str] = []
    for life in range(2):
        process = victim(broker, path, life, "speak")
        assert process.stdout is not None
        said.append(process.stdout.readline().decode().strip())
        for _ in range(2):
            time.sleep(chance.random() * 0.3)
            broker.stop()
            broker.start()
        process.kill()
        said += [line.decode().strip() for line in process.stdout if line.endswith(b"\n")]
        process.stdout.close()
        process.wait()
    drain(broker, path, 2)
    assert set(said) <= set(edge.texts())
