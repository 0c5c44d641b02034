"""The simulated side as a whole, on a real broker."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from node.broker.host import start_broker
from node.broker.paho_client import PahoClient
from node.broker.port import BrokerHost, Received
from node.clock import SystemClock
from protocol.codec import decode_addressed
from protocol.messages import Birth, Heartbeat, Message, Observation, VehiclePosition
from protocol.site import load_site
from protocol.site_check import faults
from sim_devices.city.layout import CityLayout
from sim_devices.options import CityOptions
from sim_devices.process import CityProcess

pytest.importorskip("libsumo", reason="needs SUMO")

ONE = CityLayout(columns=1)
DEADLINE_S = 25.0


@dataclass
class Listener:
    """Hears everything on the broker."""

    host: BrokerHost
    heard: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = PahoClient(self.host.address, "listener")
        self.client.subscribe("kinflow/#", 1, self._hear)
        self.client.start()
        wait_until(lambda: self.client.connected)

    def _hear(self, received: Received) -> None:
        if received.payload:
            self.heard.append(decode_addressed(received.topic, received.payload)[1])

    def of(self, kind: type[Message]) -> list[Any]:
        return [one for one in list(self.heard) if isinstance(one, kind)]


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("process")


@pytest.fixture(scope="module")
def broker(home: Path) -> Iterator[BrokerHost]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    host = start_broker("auto", home / "broker", port, "secret-of-this-test")
    yield host
    host.stop()


@pytest.fixture
def listener(broker: BrokerHost) -> Iterator[Listener]:
    one = Listener(broker)
    yield one
    one.client.stop()


class Running:
    """A city process on a thread of its own, as its command runs it on the main one."""

    def __init__(self, options: CityOptions) -> None:
        self.process = CityProcess(options, SystemClock())
        self.stop = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.process.run(self.stop)
        except BaseException as error:  # told to the test, which fails with it
            self.error = error

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        assert self.error is None, self.error


def panel(process: CityProcess, subject: str, wish: Any) -> dict[str, Any]:
    where = process.describe()["panel"]
    connection = http.client.HTTPConnection(str(urlsplit(where["url"]).netloc), timeout=10)
    try:
        headers = {"Authorization": f"Bearer {where['token']}"}
        connection.request("PUT", f"/faults/{subject}", json.dumps(wish), headers)
        response = connection.getresponse()
        assert response.status == 200
        answer: dict[str, Any] = json.loads(response.read())
        return answer
    finally:
        connection.close()


def test_truth_is_told_and_controllers_run_their_plan_until_their_link_is_cut(
    broker: BrokerHost, listener: Listener, home: Path
) -> None:
    options = CityOptions(home=home, broker=broker.address, sensing="truth", level="heavy", layout=ONE)
    before = threading.active_count()
    with Running(options) as running:
        process = running.process
        process.write_site(home / "site.toml")
        assert faults(load_site(home / "site.toml")) == ()
        wait_until(lambda: len({one.approach for one in listener.of(Observation)}) == 4)
        assert {one.sensor for one in listener.of(Observation)} == {"simulated-truth"}
        wait_until(lambda: any(lit(one) for one in listener.of(Heartbeat)))
        assert {one.control for one in listener.of(Heartbeat)} == {"local"}
        births = {one.source: one for one in listener.of(Birth)}
        assert {"mill-controller", "simulated-truth", "ambulance-1"} <= births.keys()
        assert all(one.simulated for one in births.values())

        state = panel(process, "links/controllers", {"cut": "refused"})
        assert state["links"]["controllers"]["cut"] == "refused"
        link = process.links["controllers"]
        wait_until(lambda: link.connections == 0)
        count = len(listener.of(Heartbeat))
        told = len(listener.of(Observation))
        wait_until(lambda: len(listener.of(Observation)) > told + 8)
        assert len(listener.of(Heartbeat)) <= count + 1
        panel(process, "links/controllers", {})
        wait_until(lambda: len(listener.of(Heartbeat)) > count + 2)
    wait_until(lambda: threading.active_count() <= before)
    assert "secret-of-this-test" not in repr(options)
    assert options.panel_token not in repr(options)


def lit(heartbeat: Heartbeat) -> bool:
    return any(phase.aspect == "green" for phase in heartbeat.phases)


def test_a_dead_controller_falls_silent_and_its_lamps_are_red(
    broker: BrokerHost, listener: Listener, home: Path
) -> None:
    options = CityOptions(home=home, broker=broker.address, sensing="truth", layout=ONE)
    with Running(options) as running:
        controller = running.process.runner.controllers["mill"]  # type: ignore[index]
        wait_until(lambda: "green" in controller.aspects().values())
        panel(running.process, "controllers/mill-controller", {"fault": "dead"})
        assert set(controller.aspects().values()) == {"red"}
        panel(running.process, "controllers/mill-controller", {"fault": None})
        wait_until(lambda: "green" in controller.aspects().values())


def test_cameras_show_the_road_at_the_corners_that_were_told(broker: BrokerHost, home: Path) -> None:
    options = CityOptions(home=home, broker=broker.address, layout=ONE, seed=3)
    with Running(options) as running:
        cameras = running.process.describe()["cameras"]
        assert len(cameras) == 4
        for camera in cameras:
            road = np.array(camera["road"])
            assert road.shape == (4, 2)
            deadline = time.monotonic() + DEADLINE_S
            while not shows_its_stop_line(camera):
                assert time.monotonic() < deadline, camera
                time.sleep(0.2)


def shows_its_stop_line(camera: dict[str, Any]) -> bool:
    """The near corners lie at the stop line: the picture is brighter there than on the asphalt beyond it, unless a
    vehicle stands there just now."""
    frame = fetch(camera["url"].replace(".mjpg", ".jpg"))
    assert frame.shape == (360, 640, 3)
    road = np.array(camera["road"])
    middle = (road[0] + road[1]) / 2
    return patch(frame, middle + np.array([0, 3])) > patch(frame, middle - np.array([0, 40])) + 30


def fetch(url: str) -> np.ndarray:
    """The camera's newest picture, once it has one."""
    parts = urlsplit(url)
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(str(parts.netloc), timeout=10)
        try:
            connection.request("GET", parts.path)
            response = connection.getresponse()
            if response.status == 200:
                return np.asarray(cv2.imdecode(np.frombuffer(response.read(), np.uint8), cv2.IMREAD_COLOR))
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise AssertionError("the camera never had a picture")


def patch(frame: np.ndarray, at: np.ndarray) -> float:
    """The brightest row of a small patch around a pixel."""
    x, y = (round(float(value)) for value in at)
    return float(frame[max(0, y - 4) : y + 5, x - 5 : x + 6].mean(axis=(1, 2)).max())


def test_emergency_vehicles_say_where_they_are(broker: BrokerHost, listener: Listener, home: Path) -> None:
    """This seed sends an ambulance within four seconds."""
    options = CityOptions(home=home, broker=broker.address, sensing="truth", level="heavy", layout=ONE, seed=38)
    with Running(options):
        wait_until(lambda: listener.of(VehiclePosition))
    for one in listener.of(VehiclePosition):
        assert one.source.startswith(one.role)
        assert abs(one.longitude - 0.01) < 0.01
        assert abs(one.latitude - 0.01) < 0.01
