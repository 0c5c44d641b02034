"""A whole edge server with a real broker: a vehicle asks by MQTT and by HTTP, and the signals' commands follow."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from edge_server.server import EdgeOptions, EdgeServer
from node.broker.mosquitto import MosquittoBroker
from node.broker.paho_client import PahoClient
from node.clock import SystemClock
from node.identity import Identity
from node.link import death_will
from protocol.codec import decode, encode
from protocol.ids import DeviceId
from protocol.messages import CommandOutcome, Lease, PriorityStatus, SignalCommand
from protocol.topics import HEARTBEAT, PRIORITY_REQUEST, PRIORITY_STATUS, SIGNAL_COMMAND
from tests.edge_server.signals.preemption.desk_kit import EDGE, STRANGER, Edge, enter_vehicles
from tests.edge_server.signals.signal_plant import Plant
from tests.edge_server.signals.signal_sites import crossing, site

CONTROLLER = DeviceId("controller-north")


class Road:
    """A controller without sense, in real time, and what a vehicle hears; both over the broker."""

    def __init__(self, broker: MosquittoBroker) -> None:
        self.identity = Identity(CONTROLLER, SystemClock())
        self.client = PahoClient(broker.address, "road", death_will(self.identity))
        self.plant = Plant(crossing())
        self.plant.obey(frozenset({2, 6}))
        self.plant.advance(30_000)
        self.commands: list[SignalCommand] = []
        self.statuses: list[PriorityStatus] = []
        self.client.subscribe(SIGNAL_COMMAND.of(CONTROLLER), 0, lambda got: self._obey(got.payload))
        self.client.subscribe(
            PRIORITY_STATUS.every(), 0, lambda got: self.statuses.append(decode(PRIORITY_STATUS, got.payload))
        )
        self.client.start()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self.client.stop()

    def _obey(self, payload: bytes) -> None:
        command = decode(SIGNAL_COMMAND, payload)
        with self._lock:
            self.commands.append(command)
            self.plant.obey(frozenset(command.phases), cuts_walk=command.cuts_walk)

    def _run(self) -> None:
        while not self._stopping.wait(0.1):
            with self._lock:
                self.plant.advance(400)  # four times as fast as the day, so that a change does not take long
                beat = self.plant.heartbeat()
                last = self.commands[-1] if self.commands else None
            fields = {name: getattr(beat, name) for name in beat.__struct_fields__} | dict(self.identity.live())
            if last is not None:
                fields["last_command"] = CommandOutcome(last.id)
                fields["lease"] = Lease(last.source, last.epoch, 3_000)
                fields["highest_epoch"] = last.epoch
            self.client.publish(HEARTBEAT.of(CONTROLLER), encode(type(beat)(**fields)), 0)


def until(true: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
    return found


@pytest.fixture
def road(mosquitto: MosquittoBroker) -> Iterator[Road]:
    road = Road(mosquitto)
    yield road
    road.stop()


def test_a_request_by_mqtt_becomes_commands_and_outlives_a_restart(
    tmp_path: Path, mosquitto: MosquittoBroker, free_port: Callable[[], int], road: Road
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    enter_vehicles(home)
    maker = Edge(tmp_path / "maker", clock=SystemClock())
    maker.desk.stop()
    options = EdgeOptions(
        home=home,
        database=home / "edge.db",
        device=EDGE,
        version="1",
        site=replace(site(), simulated=True),
        broker=mosquitto.address,
        port=free_port(),
    )

    def say(**fields: Any) -> bool:
        message = maker.message(**fields)
        road.client.publish(PRIORITY_REQUEST.of(message.source), encode(message), 0)
        return True

    def granted() -> PriorityStatus | None:
        return road.statuses[-1] if road.statuses and road.statuses[-1].status == "granted" else None

    server = EdgeServer(options)
    server.start()
    try:
        until(lambda: server.context.preemption is not None and road.commands)
        first = until(lambda: say(action="renew") and granted())
        until(lambda: say(action="renew") and road.plant.serving(4))
        assert road.commands[-1].controller == "preemption"
        assert say(key=STRANGER)
        until(lambda: any(row.code == "KF310" for row in server.context.read.events(50)))
    finally:
        server.stop()
    road.statuses.clear()
    commands = len(road.commands)
    server = EdgeServer(options)
    server.start()
    try:
        again = until(lambda: say(action="renew") and granted())
        assert again.left_ms < first.left_ms, "the same lease, with the same cap"
        until(lambda: len(road.commands) > commands and road.commands[-1].controller == "preemption")
        _ask_by_http(server, options, home, maker)
    finally:
        server.stop()
    assert road.plant.violations == []


def _ask_by_http(server: EdgeServer, options: EdgeOptions, home: Path, maker: Edge) -> None:
    key = (home / "edge-token").read_text().strip()

    def call(method: str, path: str, body: bytes | None = None, token: str = key) -> tuple[int, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{options.port}/api/v1/preemption{path}", body, method=method
        )
        request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())["error"]["code"]

    assert call("GET", "", token="")[0] == 401
    assert call("GET", "")[1][0]["holder"]["vehicle"] == "ambulance-1"
    assert call("POST", "/requests", encode(maker.message("police-1", "north-e", key=STRANGER))) == (403, "KF310")
    assert call("POST", "/requests", b"{}") == (422, "KF93")
    viewer = server.context.accounts.tokens.make("reader", "viewer", 1, _actor())[1]
    assert call("POST", "/requests", encode(maker.message("police-1")), token=viewer) == (403, "KF206")
    status, answer = call("POST", "/requests", encode(maker.message("police-1", "north-e")))
    assert (status, answer["status"]) == (200, "watchOtherTraffic")
    end = json.dumps({"vehicle": "ambulance-1", "reason": "the drill is over"}).encode()
    assert call("POST", "/north/end", end) == (204, None)
    assert call("POST", "/north/end", end) == (404, "KF323")
    assert call("GET", "")[1][0]["holder"]["vehicle"] == "police-1"
    higher = json.dumps({"source": "railway-7", "kind": "railway", "active": True}).encode()
    assert call("POST", "/north/higher", higher) == (204, None)
    assert call("POST", "/nowhere/higher", higher) == (404, "KF92")
    assert call("GET", "")[1][0] | {"queue": []} == {
        "intersection": "north", "holder": None, "queue": [], "higher": {"railway-7": "railway"}, "recovering": None,
        "cameras": [], "camera_preempts": False,
    }  # fmt: skip
    noted = [(line.what, line.subject) for line in server.context.accounts.audit.lines(10)]
    assert ("preemption-ended", "ambulance-1") in noted
    assert ("preemption-outranked", "north") in noted


def _actor() -> Any:
    from edge_server.accounts.rows import Actor  # noqa: PLC0415

    return Actor("tests")
