"""A dead edge server is replaced from its backup, and devices that had joined it come back untouched."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from edge_server.ingest import ranges
from edge_server.ingest.ranges import Ranges
from node.broker.mosquitto import find_mosquitto
from node.broker.paho_client import PahoClient
from node.broker.port import Received
from node.clock import SystemClock
from node.identity import Identity
from node.link import Link, death_will
from node.outbox.outbox import Outbox
from node.outbox.store import OutboxStore
from node.trust.membership import Membership
from protocol.codec import decode
from protocol.ids import DeviceId
from protocol.messages import Ack
from protocol.topics import ACK, ALARM, OBSERVATION
from tests.edge_server.conftest import Device
from tests.edge_server.trust.test_joining_process import EdgeProcess, join, until
from tests.film import film

PASSPHRASE = "four words nobody joins"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
    pytest.mark.timeout(300),
]


class Joined:
    """A device that has joined, with the real membership, outbox and link; it knows which numbers were acknowledged."""

    def __init__(self, home: Path, name: str) -> None:
        self.makes = Device(name)
        identity: Identity = self.makes.identity
        self.acked: set[int] = set()
        self.alarms: set[int] = set()
        self._member = Membership(home, lambda _: None)
        self.client = PahoClient(self._member.brokers, DeviceId(name), death_will(identity), tls=self._member.tls)
        store = OutboxStore(home / f"outbox-{name}.db")
        self.outbox = Outbox(identity.boot, SystemClock(), store)
        self.link = Link(identity, self.client, self.outbox, birth=self.makes.birth)
        self.client.subscribe(ACK.of(self.makes.name), 0, self._acked)
        self.link.start()
        self._member.start(self.client)

    def say(self, count: int = 10) -> set[int]:
        """So many readings and as many alarms; returns their numbers."""
        numbers: set[int] = set()
        for _ in range(count):
            seen, told = self.makes.observation(), self.makes.alarm()
            self.link.send(OBSERVATION, seen, "north-1")
            self.link.send(ALARM, told)
            self.alarms.add(told.seq)
            numbers |= {seen.seq, told.seq}
        return numbers

    def stop(self) -> None:
        self._member.stop()
        self.link.stop()

    def _acked(self, received: Received) -> None:
        ack = decode(ACK, received.payload)
        assert isinstance(ack, Ack)
        self.acked |= {seq for first, last in ack.ranges for seq in range(first, last + 1)}


def rows(home: Path, query: str, *parameters: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{home / 'edge.db'}?mode=ro", uri=True)) as store:
        return store.execute(query, parameters).fetchall()


def account(home: Path, device: str) -> tuple[Ranges, Ranges, int]:
    """Of a device's latest run: the numbers that came, those in `gaps`, and the highest."""
    boot, highest, received = rows(
        home, "SELECT boot, highest, received FROM received WHERE source = ? ORDER BY heard_ms DESC LIMIT 1", device
    )[0]
    gaps = rows(home, "SELECT first, last FROM gaps WHERE source = ? AND boot = ? ORDER BY first", device, boot)
    assert isinstance(received, str)
    assert isinstance(highest, int)
    return msgspec.json.decode(received, type=Ranges), tuple(gaps), highest  # type: ignore[return-value]


@pytest.fixture
def agent(edge: EdgeProcess, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The agent's own process, with a film for a camera."""
    home = tmp_path / "cam-2"
    join(edge, home, "cam-2")
    command = [sys.executable, "-m", "kinflow", "agent", "run", "--camera", str(film(tmp_path / "road.avi"))]
    log = (tmp_path / "agent.log").open("wb")
    process = subprocess.Popen(
        [*command, "--road-width", "7", "--road-length", "40", "--no-page"],
        env=edge.environment | {"KINFLOW_HOME": str(home), "KINFLOW_DEVICE_ID": ""},
        stdout=log,
        stderr=log,
    )
    yield process
    process.terminate()
    process.wait(20)
    log.close()


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[EdgeProcess]:
    edge = EdgeProcess(tmp_path / "edge")
    yield edge
    if edge.process.poll() is None:
        edge.stop()


def restored(backup: Path, home: Path, dead: EdgeProcess) -> EdgeProcess:
    """An edge server by the dead one's address, from its backup."""
    environment = os.environ | {"PYTHONPATH": dead.environment["PYTHONPATH"], "KINFLOW_HOME": str(home)}
    command = [sys.executable, "-m", "kinflow", "edge", "restore", str(backup), *_key(backup.parent)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return EdgeProcess(home, ports=(dead.http, dead.mqtts))


def _key(folder: Path) -> tuple[str, str]:
    (folder / "key").write_text(PASSPHRASE)
    return "--passphrase-file", str(folder / "key")


def check_cam_1(new: EdgeProcess, one: Joined, lost: set[int]) -> None:
    """Exactly what the backup lacks is missing, each event is there once, and nothing else went."""
    came, missing, highest = account(new.home, "cam-1")
    assert missing == ((min(lost), max(lost)),)
    assert ranges.union(came, missing) == ((1, highest),)
    told = [seq for (seq,) in rows(new.home, "SELECT seq FROM alarms WHERE source = 'cam-1' ORDER BY id")]
    assert len(told) == len(set(told))
    assert set(told) == one.alarms - lost


def check_cam_2(new: EdgeProcess) -> None:
    """An agent that goes on counting: up to the last number that is known to be missing all are accounted for."""
    came, missing, _ = account(new.home, "cam-2")
    assert missing
    assert not ranges.intersect(came, missing)
    known: Ranges = ((1, max(last for _, last in missing)),)
    assert ranges.intersect(ranges.union(came, missing), known) == known


def test_devices_come_back_and_what_the_backup_lacks_is_told(
    edge: EdgeProcess, agent: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    join(edge, tmp_path / "cam-1", "cam-1")
    one = Joined(tmp_path / "cam-1", "cam-1")
    latest = "SELECT max(seq) FROM observations WHERE source = 'cam-2'"
    new: EdgeProcess | None = None
    try:
        before = one.say()
        until(lambda: one.acked >= before and rows(edge.home, latest) != [(None,)])
        edge.cli("backup", str(tmp_path / "backup"), *_key(tmp_path))
        ((backed_up,),) = rows(edge.home, latest)
        lost = one.say()
        until(lambda: one.acked >= lost and rows(edge.home, latest)[0][0] > backed_up + 5)

        edge.kill()
        shutil.rmtree(edge.home)
        until(lambda: not one.client.connected)
        held = one.say()
        assert not one.acked & held

        new = restored(tmp_path / "backup", tmp_path / "elsewhere", edge)
        until(lambda: one.acked >= held)
        after = one.say(3)
        until(lambda: one.acked >= after)
        # A number counts as missing after half a minute.
        told = "SELECT DISTINCT device FROM events WHERE kind = 'messages-missing' ORDER BY device"
        until(lambda: rows(new.home, told) == [("cam-1",), ("cam-2",)], 90)
        check_cam_1(new, one, lost)
        check_cam_2(new)
        assert "store-restored" in new.alarms()
        assert {row["device"]: row["state"] for row in new.trust()["devices"]} == {"cam-1": "joined", "cam-2": "joined"}
        assert agent.poll() is None
    finally:
        one.stop()
        if new is not None:
            new.stop()
