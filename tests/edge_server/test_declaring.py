"""An operator declares a vehicle to a real agent over a real broker, which reports it as long as it holds."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from agent.options import CameraFlags, cameras_from_flags
from agent.service import AgentService
from edge_server.cli import app
from node.broker.address import format_broker
from node.broker.mosquitto import MosquittoBroker
from node.broker.paho_client import PahoClient
from node.clock import SystemClock
from node.identity import Identity
from node.link import Link, death_will
from node.outbox.outbox import Outbox
from protocol.codec import decode_addressed, encode
from protocol.ids import DeviceId
from protocol.messages import Birth, Declaration, Observation
from protocol.topics import DECLARATION

AGENT = DeviceId("pi-1")


class Site:
    """An agent with one camera on a broker, and what it says."""

    def __init__(self, folder: Path, broker: MosquittoBroker) -> None:
        self.heard: list[Any] = []
        self.client = PahoClient(broker.address, "listener")
        self.client.subscribe("kinflow/1/#", 1, self._hear)
        self.client.start()
        self.home = folder / "edge"
        self.home.mkdir()
        url = format_broker(broker.address, with_password=True)
        (self.home / "kinflow.toml").write_text(f'[broker]\nurl = "{url}"\n[device]\nid = "edge-1"\n')
        clip = folder / "road.avi"
        writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (320, 180))
        noise = np.random.default_rng(1)
        for _ in range(150):
            writer.write(noise.integers(90, 110, (180, 320, 3)).astype(np.uint8))
        writer.release()
        cameras = cameras_from_flags(CameraFlags([str(clip)], ids=["cam"], approaches=["north-w"]))
        clock = SystemClock()
        identity = Identity(AGENT, clock)
        self.service = AgentService(cameras, folder / "agent", clock, identity, software="test")
        client = PahoClient(broker.address, AGENT, death_will(identity))
        self.link = Link(identity, client, Outbox(identity.boot, clock, None), birth=self.service.birth)
        self.link.start()
        self.thread = threading.Thread(target=self.service.run, args=(self.link,))
        self.thread.start()

    def _hear(self, received: Any) -> None:
        if received.payload:
            self.heard.append(decode_addressed(received.topic, received.payload)[1])

    def observed(self) -> list[Observation]:
        return [one for one in list(self.heard) if isinstance(one, Observation)]

    def births(self) -> list[Birth]:
        return [one for one in list(self.heard) if isinstance(one, Birth) and one.cameras]

    def declare(self, *arguments: str) -> Any:
        return CliRunner().invoke(app, ["declare", *arguments, "--home", str(self.home), "--json"])

    def close(self) -> None:
        self.service.stop()
        self.thread.join(10)
        self.link.stop()
        self.client.stop()


def until(true: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
    return found


@pytest.fixture
def site(tmp_path: Path, mosquitto: MosquittoBroker) -> Iterator[Site]:
    site = Site(tmp_path, mosquitto)
    yield site
    site.close()


def test_a_declared_vehicle_is_reported_ends_and_counts_once(site: Site) -> None:
    until(lambda: site.births() and site.observed())
    assert site.observed()[0].emergency == "unavailable"
    told = site.declare("pi-1", "north-w", "--vehicle", "fire_engine", "--seconds", "30")
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout) == {
        "agent": "pi-1", "approach": "north-w", "valid_ms": 30_000, "emergency": "requested",
    }  # fmt: skip
    (sighting,) = until(lambda: site.observed()[-1].emergencies)
    assert (sighting.kind, sighting.state, sighting.evidence) == ("fire_engine", "requested", ("declared",))
    assert sighting.probability > 0.99
    ended = site.declare("pi-1", "north-w", "--end")
    assert json.loads(ended.stdout)["emergency"] == "unavailable", ended.output
    said = until(lambda: [one for one in list(site.heard) if isinstance(one, Declaration)])[0]
    # Recorded and sent once more, it changes nothing.
    before = len(site.observed())
    assert site.client.publish(DECLARATION.of(AGENT), encode(said), 1)
    later = until(lambda: site.observed()[before + 2 :])
    assert {one.emergency for one in later} == {"unavailable"}


def test_who_is_not_there_and_what_is_not_watched_is_told_by_its_code(site: Site) -> None:
    until(site.births)
    elsewhere = site.declare("pi-1", "north-e")
    assert (elsewhere.exit_code, elsewhere.exception.code) == (1, "KF301")  # type: ignore[union-attr]
    assert "north-w" in str(elsewhere.exception)
    assert site.declare("pi-1", "north-w", "--vehicle", "lorry").exit_code == 2
