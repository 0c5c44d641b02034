"""A disk that fills under a real edge server, with a real broker: a small tmpfs, and a file that takes its room."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.broker.mosquitto import MosquittoBroker
from node.outbox.entry import Limits
from protocol.topics import ALARM, OBSERVATION
from tests.edge_server.test_edge_server_process import Agent, Edge

DISK_MB = 96
# Very low begins at 10 MB and full at 3; the reserve has 4.
LOW_MB = 30

LATEST = "SELECT code, active FROM alarms WHERE alarm = 'disk-room' ORDER BY id DESC LIMIT 1"


class SmallDisk:
    """free(mb) leaves so much room, by a file that takes the rest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def free_mb(self) -> float:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize / 1e6

    def leave(self, mb: float) -> None:
        with self._ballast.open("ab", buffering=0) as file:
            while (excess := self.free_mb() - mb) > 0.01:
                try:
                    file.write(b"x" * max(4_096, min(1_000_000, int(excess * 1e6))))
                except OSError:
                    return

    def clear(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    if os.geteuid() != 0:
        pytest.skip("NOT PROVEN HERE: only root may mount a small disk")
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", path]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        pytest.skip(f"NOT PROVEN HERE: this container may not mount ({done.stderr.strip()})")
    yield SmallDisk(path)
    subprocess.run(["umount", "-l", path], check=True)


def healthz(port: int) -> tuple[int, list[str]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return answer.status, json.loads(answer.read())["problems"]
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["problems"]


def shown(edge: Edge) -> tuple[str, int]:
    """What the dashboard is told of the disk."""
    token = (edge.home / "edge-token").read_text().strip()
    request = urllib.request.Request(
        f"http://127.0.0.1:{edge.port}/api/v1/state", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        (server,) = json.loads(answer.read())["servers"]
    return server["disk"], server["given_up"]


class Speaker:
    """A device that says things, and what the edge server made of them. seen, told: the numbers of all readings and
    alarms so far."""

    def __init__(self, mosquitto: MosquittoBroker, device, edge: Edge) -> None:
        impatient = Limits(resend_ms=500, resend_longest_ms=1_000)
        self._agent, self._device, self._edge = Agent(mosquitto, device, impatient), device, edge
        self.seen: set[int] = set()
        self.told: set[int] = set()

    def observe(self, count: int = 5) -> set[int]:
        made = [self._device.observation() for _ in range(count)]
        for one in made:
            self._agent.link.send(OBSERVATION, one, "north-1", wait=True)
        self.seen |= {one.seq for one in made}
        return {one.seq for one in made}

    def alarm(self, count: int = 1) -> set[int]:
        made = [self._device.alarm() for _ in range(count)]
        for one in made:
            self._agent.link.send(ALARM, one, wait=True)
        self.told |= {one.seq for one in made}
        return {one.seq for one in made}

    def acknowledged(self, numbers: set[int]) -> bool:
        return self._agent.acked >= numbers

    def stored(self, table: str) -> set[int]:
        return {seq for (seq,) in self._edge.rows(f"SELECT seq FROM {table} WHERE source = 'cam-1'")}

    def stop(self) -> None:
        self._agent.link.stop()


@pytest.fixture
def edge(
    disk: SmallDisk, repository: Path, mosquitto: MosquittoBroker, free_port: Callable[[], int], monkeypatch
) -> Iterator[Edge]:
    monkeypatch.setenv("KINFLOW_EDGE_LOW_DISK_MB", str(LOW_MB))
    edge = Edge(disk.path / "edge", repository, mosquitto.address, free_port())
    yield edge
    edge.kill()


@pytest.fixture
def speaker(mosquitto: MosquittoBroker, device, edge: Edge) -> Iterator[Speaker]:
    speaker = Speaker(mosquitto, device, edge)
    yield speaker
    speaker.stop()


@pytest.mark.timeout(120)
def test_readings_are_given_up_and_counted_and_no_alarm_is_lost(
    disk: SmallDisk, edge: Edge, speaker: Speaker, eventually: Callable[..., None]
) -> None:
    reserve = edge.home / "reserve"
    edge.start()
    eventually(edge.ready, 30)
    first = speaker.observe() | speaker.alarm()
    eventually(lambda: speaker.acknowledged(first))
    eventually(reserve.exists)

    disk.leave(25)
    eventually(lambda: edge.rows(LATEST) == [("KF203", 1)])
    low = speaker.observe() | speaker.alarm()
    eventually(lambda: speaker.acknowledged(low))
    assert speaker.seen == speaker.stored("observations")

    disk.leave(8)
    eventually(lambda: edge.rows(LATEST) == [("KF204", 1)])
    given_up = speaker.observe(50)
    between = speaker.alarm()
    given_up |= speaker.observe(50)
    eventually(lambda: speaker.acknowledged(given_up | between))
    assert speaker.stored("observations") == speaker.seen - given_up
    # Few rows that grow, not one a batch.
    counted = "SELECT sum(last - first + 1), count(*) < 10 FROM gaps WHERE reason = 'edge-disk-full'"
    assert edge.rows(counted) == [(100, 1)]
    eventually(lambda: shown(edge) == ("very-low", 100))
    assert healthz(edge.port)[0] == 503

    disk.leave(0)
    eventually(lambda: not reserve.exists())
    eventually(lambda: edge.rows(LATEST) == [("KF216", 1)])
    waiting = speaker.observe()
    urgent = speaker.alarm(200)
    eventually(lambda: speaker.acknowledged(urgent))
    assert speaker.stored("alarms") == speaker.told
    assert not any(speaker.acknowledged({one}) for one in waiting)
    assert shown(edge)[0] == "full"

    disk.clear()
    eventually(lambda: edge.rows(LATEST) == [("KF204", 0)])
    eventually(reserve.exists)
    after = speaker.observe() | speaker.alarm()
    # What its device had kept comes as well.
    eventually(lambda: speaker.acknowledged(after | waiting))
    assert speaker.stored("observations") == speaker.seen - given_up
    assert speaker.stored("alarms") == speaker.told
    assert shown(edge) == ("ok", 100)
    assert healthz(edge.port) == (200, [])
    (text,) = edge.rows("SELECT text FROM alarms WHERE alarm = 'disk-room' AND NOT active")[0]
    assert str(text).endswith("100 readings were not stored.")
