"""What the gateway answers and streams, over the real application, bus and store."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import httpx
import pytest

from edge_server.gateway.app import Gateway
from edge_server.gateway.health import STUCK_MS, IngestWatch
from edge_server.gateway.server import GatewayServer
from edge_server.ingest.figures import IngestFigures
from tests.edge_server.gateway.demo_edge import TOKEN, DemoEdge

BEARER = {"Authorization": f"Bearer {TOKEN}"}
DEADLINE_S = 10.0


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[DemoEdge]:
    edge = DemoEdge(tmp_path)
    yield edge
    edge.close()


@pytest.fixture
def server(edge: DemoEdge) -> Iterator[GatewayServer]:
    server = GatewayServer(Gateway(edge.context), port=0)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(server: GatewayServer) -> Iterator[httpx.Client]:
    base = f"http://127.0.0.1:{server.port}"
    with httpx.Client(base_url=base, headers=BEARER, trust_env=False, timeout=DEADLINE_S) as client:
        yield client


@dataclass
class Stream:
    """Events as they come: (name, id, data)."""

    queue: Queue[tuple[str, str, Any]] = field(default_factory=Queue)

    def until(self, wanted: Callable[[str, Any], bool]) -> list[tuple[str, str, Any]]:
        """All events up to and including the first that is wanted."""
        seen = []
        while True:
            try:
                seen.append(self.queue.get(timeout=DEADLINE_S))
            except Empty:
                raise AssertionError(f"not among {[(name, data) for name, _, data in seen]}") from None
            if wanted(seen[-1][0], seen[-1][2]):
                return seen


@contextmanager
def streaming(server: GatewayServer, last: str | None = None) -> Iterator[Stream]:
    stream = Stream()
    headers = {**BEARER, **({"Last-Event-ID": last} if last else {})}
    url = f"http://127.0.0.1:{server.port}/api/v1/events"

    def read() -> None:
        event: dict[str, str] = {}
        try:
            with httpx.stream("GET", url, headers=headers, timeout=None, trust_env=False) as answer:
                answers.append(answer)
                for line in answer.iter_lines():
                    if line.startswith(":"):
                        stream.queue.put(("comment", "", line))
                    elif line:
                        name, _, value = line.partition(": ")
                        event[name] = value
                    elif event:
                        stream.queue.put((event["event"], event.get("id", ""), json.loads(event["data"])))
                        event = {}
        except (httpx.HTTPError, OSError):
            pass
        stream.queue.put(("end", "", None))

    answers: list[httpx.Response] = []
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    yield stream


def eventually(get: Callable[[], bool]) -> None:
    """Wait on a condition, with a deadline."""
    done = threading.Event()
    for _ in range(int(DEADLINE_S / 0.02)):
        if get():
            return
        done.wait(0.02)
    raise AssertionError("it never came true")


def approach(state: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in state["approaches"] if one["id"] == name)


def test_the_site_is_drawn_with_lanes_and_as_geojson(client: httpx.Client) -> None:
    site = client.get("/api/v1/site").json()
    assert [one["id"] for one in site["intersections"]] == ["west", "east"]
    assert len(site["approaches"]) == 8
    features = client.get("/api/v1/site.geojson").json()["features"]
    kinds = [feature["properties"]["kind"] for feature in features]
    assert (kinds.count("approach"), kinds.count("lane"), kinds.count("intersection")) == (8, 16, 2)
    assert {feature["geometry"]["type"] for feature in features} == {"LineString", "Point"}


def test_the_state_names_what_the_site_names_before_anything_is_heard(client: httpx.Client) -> None:
    state = client.get("/api/v1/state").json()
    assert {one["status"] for one in state["approaches"]} == {"none"}
    assert {one["control"] for one in state["signals"]} == {"unknown"}
    assert {phase["aspect"] for one in state["signals"] for phase in one["phases"]} == {"unknown"}


def test_the_first_change_is_streamed_then_the_latest(edge: DemoEdge, server: GatewayServer) -> None:
    with streaming(server) as stream:
        stream.until(lambda name, _: name == "snapshot")
        said = edge.observe("west-n", 0.1)
        first = stream.until(lambda name, _: name == "approach")[-1][2]
        assert first["observation"] == said.id
        assert first["index"]["value"] == pytest.approx(0.1)
        for step in range(50):
            last = edge.observe("west-n", 0.2 + step / 100)
        seen = stream.until(lambda name, data: name == "approach" and data["observation"] == last.id)
        assert len(seen) < 50


def test_a_late_observation_is_history_and_not_shown_as_now(edge: DemoEdge, client: httpx.Client) -> None:
    now = edge.observe("west-n", 0.1)
    edge.observe("west-n", 0.9, age_ms=60_000)
    edge.observe("west-s", 0.3)
    eventually(lambda: approach(client.get("/api/v1/state").json(), "west-s")["status"] == "ok")
    assert approach(client.get("/api/v1/state").json(), "west-n")["observation"] == now.id
    points = client.get("/api/v1/approaches/west-n/history", params={"seconds": 120}).json()
    assert [point["index"] for point in points] == [pytest.approx(0.9), pytest.approx(0.1)]


def test_a_reader_that_was_away_gets_what_it_missed(edge: DemoEdge, server: GatewayServer) -> None:
    with streaming(server) as stream:
        stream.until(lambda name, _: name == "snapshot")
        edge.observe("west-n", 0.1)
        last = stream.until(lambda name, _: name == "approach")[-1][1]
    edge.observe("west-s", 0.7)
    with streaming(server, last) as stream:
        seen = stream.until(lambda name, data: name == "approach" and data["id"] == "west-s")
        assert [name for name, _, _ in seen] == ["approach"]


@pytest.mark.parametrize("last", ["00000000-5", "nonsense", "-", "99999999"])
def test_a_reader_of_another_run_is_told_to_begin_anew(server: GatewayServer, last: str) -> None:
    with streaming(server, last) as stream:
        names = [name for name, _, _ in stream.until(lambda name, _: name == "snapshot")]
        assert names == ["resync", "snapshot"]


def test_stopping_the_server_ends_its_streams(server: GatewayServer) -> None:
    with streaming(server) as stream:
        stream.until(lambda name, _: name == "snapshot")
        server.stop()
        stream.until(lambda name, _: name == "end")


def test_alarms_are_folded_and_corrected(edge: DemoEdge, client: httpx.Client) -> None:
    edge.alarm("wrong-way", "west-e", "critical", "A vehicle drives against the traffic.")
    edge.alarm("wrong-way", "west-e", "critical", "It still does.")
    edge.alarm("outbox-full", "pi-2", "info", "thinned")
    edge.alarm("outbox-full", "pi-2", "info", "room again", active=False)
    alarms = client.get("/api/v1/alarms").json()
    assert [(one["alarm"], one["active"], one["text"]) for one in alarms] == [
        ("outbox-full", False, "thinned"),
        ("wrong-way", True, "It still does."),
    ]
    number = alarms[1]["id"]
    body = {"mistake": "false-alarm", "alarm": number, "note": "a cyclist"}
    kept = client.post("/api/v1/corrections", json=body)
    assert kept.status_code == 201
    assert client.get("/api/v1/corrections").json() == [kept.json()]
    (standing,) = client.get("/api/v1/alarms", params={"standing": True}).json()
    assert standing["correction"] == kept.json()["id"]
    assert client.delete(f"/api/v1/corrections/{kept.json()['id']}").status_code == 204
    assert client.delete(f"/api/v1/corrections/{kept.json()['id']}").status_code == 404
    assert client.get("/api/v1/alarms").json()[1]["correction"] is None


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"mistake": "false-alarm", "alarm": 77}, 404, "KF92"),
        ({"mistake": "wrong-class", "approach": "nowhere", "congestion": "jam"}, 404, "KF92"),
        ({"mistake": "wrong-class", "approach": "west-n", "congestion": "busy"}, 422, "KF93"),
        ({"mistake": "false-alarm", "alarm": 1, "extra": 1}, 422, "KF93"),
        ({"mistake": "false-alarm", "alarm": 1 << 70}, 422, "KF93"),
        ({"mistake": "wrong-class", "approach": "west-n", "congestion": "jam", "note": "x" * 501}, 422, "KF93"),
        ({}, 422, "KF93"),
        ([], 422, "KF93"),
    ],
)
def test_a_bad_correction_is_refused_and_not_kept(
    edge: DemoEdge, client: httpx.Client, body: object, status: int, code: str
) -> None:
    answer = client.post("/api/v1/corrections", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert edge.context.read.corrections() == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/approaches/nowhere/history", 404),
        ("/api/v1/signals/nowhere/decisions", 404),
        ("/api/v1/nothing", 404),
        ("/api/v1/events-log?limit=0", 422),
        ("/api/v1/approaches/west-n/history?seconds=-1", 422),
        ("/api/v1/approaches/west-n/history?bucket_s=nan", 422),
    ],
)
def test_what_is_not_there_is_said_with_a_code(client: httpx.Client, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "cause", "advice"}


def test_the_log_is_paged_by_its_cursor(edge: DemoEdge, client: httpx.Client) -> None:
    for i in range(25):
        edge.log("device-joined", f"line {i}")
    texts: list[str] = []
    before: dict[str, int] = {}
    while page := client.get("/api/v1/events-log", params={"limit": 10, **before}).json():
        texts += [line["text"] for line in page]
        before = {"before": page[-1]["id"]}
    assert texts == [f"line {i}" for i in reversed(range(25))]


def test_devices_and_cameras_come_and_go(edge: DemoEdge, client: httpx.Client) -> None:
    edge.join("pi-1", cameras=(("cam-west-n", "west-n"),))
    edge.health("pi-1", rss_mb=88.0)
    eventually(lambda: [one["rss_mb"] for one in client.get("/api/v1/devices").json()] == [88.0])
    assert [one["id"] for one in client.get("/api/v1/cameras").json()] == ["cam-west-n"]
    edge.leave("pi-1")
    eventually(lambda: client.get("/api/v1/devices").json()[0]["state"] == "offline")
    assert client.delete("/api/v1/devices/pi-1").status_code == 204
    eventually(lambda: client.get("/api/v1/devices").json() == [])
    assert client.get("/api/v1/cameras").json() == []


def test_a_camera_is_asked_to_relearn_its_road(edge: DemoEdge, client: httpx.Client) -> None:
    edge.join("pi-1", cameras=(("cam-west-n", "west-n"),))
    eventually(lambda: bool(client.get("/api/v1/cameras").json()))
    answer = client.post("/api/v1/cameras/cam-west-n/relearn-road")
    assert answer.status_code == 202
    assert edge.asked == [("pi-1", "relearn-road", {"camera": "cam-west-n"})]
    assert client.post("/api/v1/cameras/none/relearn-road").status_code == 404
    edge.broker_connected = False
    away = client.post("/api/v1/cameras/cam-west-n/relearn-road")
    assert (away.status_code, away.json()["error"]["code"]) == (503, "KF81")


def test_metrics_speak_prometheus(edge: DemoEdge, client: httpx.Client) -> None:
    edge.observe("west-n", 0.5)
    eventually(lambda: approach(client.get("/api/v1/state").json(), "west-n")["status"] == "ok")
    text = client.get("/metrics").text
    for line in (
        "kinflow_received_messages_total 12.0",
        'kinflow_rejected_messages_total{code="KF11"} 1.0',
        'kinflow_congestion_index{approach="west-n"} 0.5',
        "kinflow_broker_connected 1.0",
    ):
        assert line in text


def test_health_fails_on_a_full_disk(edge: DemoEdge, client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"ok": True, "problems": []}
    edge.figures = replace(edge.figures, disk_full=True)
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert "disk is full" in answer.json()["problems"][0]


def test_ingest_is_stuck_when_messages_wait_and_nothing_is_committed() -> None:
    busy = IngestFigures(waiting=5, commits=9)
    watch = IngestWatch().look(IngestFigures(commits=9), 0)
    watch = watch.look(busy, 1_000)
    assert watch.problems(busy, 1_000 + STUCK_MS - 1) == ()
    assert len(watch.problems(busy, 1_000 + STUCK_MS)) == 1
    assert watch.look(replace(busy, commits=10), 20_000).problems(busy, 60_000) == ()


def test_a_restarted_gateway_remembers_what_the_store_knows(edge: DemoEdge) -> None:
    edge.observe("west-n", 0.6)
    edge.alarm("wrong-way", "west-e", "critical", "A vehicle drives against the traffic.")
    edge.log("device-joined", "pi-1 joined")
    edge.join("pi-1", cameras=(("cam-west-n", "west-n"),))
    server = GatewayServer(Gateway(edge.context), port=0)
    server.start()
    try:
        url = f"http://127.0.0.1:{server.port}/api/v1/state"

        def state() -> dict[str, Any]:
            return httpx.get(url, headers=BEARER, trust_env=False).json()

        eventually(lambda: bool(state()["alarms"]))
        found = state()
        assert approach(found, "west-n")["congestion"] == "dense"
        assert [one["text"] for one in found["events"]] == ["pi-1 joined"]
        assert [one["id"] for one in found["devices"]] == ["pi-1"]
    finally:
        server.stop()


def test_a_taken_port_is_told_at_start(edge: DemoEdge, server: GatewayServer) -> None:
    other = GatewayServer(Gateway(edge.context), port=server.port)
    with pytest.raises(OSError, match="in use"):
        other.start()
