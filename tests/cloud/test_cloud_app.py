"""The cloud's routes: who is let in, and what is answered."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud.app import CloudContext, cloud_app
from cloud.server import Listener
from cloud.store import CloudStore
from models.engine.fake import FakeEngine
from models.escalation.desk import Identity
from models.escalation.served import Served
from models.serving.fifo import FifoScheduler
from models.serving.keys import FILE_NAME, KeyFile
from models.serving.service import Service
from node.clock import ManualClock
from protocol.edge_status import DEVICES_LIMIT, DeviceStatus, EdgeStatus, decode_status, encode_status
from protocol.errors import KinflowError
from protocol.ids import DeviceId

TOKEN = "t" * 43
EDGE = DeviceId("edge-1")
WITH_TOKEN = {"authorization": f"Bearer {TOKEN}"}
Make = Callable[..., EdgeStatus]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CloudStore]:
    made = CloudStore(tmp_path / "cloud.db")
    made.join(EDGE, 0)
    yield made
    made.close()


@pytest.fixture
def client(store: CloudStore, tmp_path: Path) -> Iterator[httpx.Client]:
    """Whoever writes `signer` into a header has proven to be it: the proof itself is tested with the real one."""
    releases = tmp_path / "releases"
    releases.mkdir()
    (releases / "root.json").write_text("{}")
    clock = ManualClock(wall_ms=1_795_000_000_000)

    def edge_of(scope, body):
        return dict(scope["headers"]).get(b"signer", b"").decode() or None

    app = cloud_app(CloudContext("1.2.3", clock, store, edge_of, TOKEN, releases))
    listener = Listener(app, "127.0.0.1", 0)
    listener.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{listener.port}") as made:
        yield made
    listener.stop()


def send(client: httpx.Client, status: EdgeStatus, signer: str = EDGE, edge: str = EDGE) -> object:
    return client.post(f"/api/v1/edges/{edge}/status", content=encode_status(status), headers={"signer": signer})


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_an_edge_reports_and_is_shown(client: httpx.Client, status: Make) -> None:
    assert send(client, status()).status_code == 204
    (shown,) = client.get("/api/v1/edges", headers=WITH_TOKEN).json()["edges"]
    assert (shown["edge"], shown["state"], shown["devices_online"]) == ("edge-1", "reporting", 1)
    assert client.get("/api/v1/edges/edge-1", headers=WITH_TOKEN).json() == shown
    assert code(client.get("/api/v1/edges/edge-9", headers=WITH_TOKEN)) == (404, "KF124")
    metrics = client.get("/metrics", headers=WITH_TOKEN).text
    assert 'kinflow_cloud_edges{state="reporting"} 1.0' in metrics
    assert 'kinflow_cloud_alarms{edge="edge-1",severity="critical"} 1.0' in metrics


def test_a_status_that_is_sent_again_does_no_harm(client: httpx.Client, status: Make) -> None:
    assert [send(client, status(2)).status_code for _ in range(2)] == [204, 204]
    assert code(send(client, status(1))) == (409, "KF122")


def test_who_does_not_prove_itself_is_not_heard(client: httpx.Client, store: CloudStore, status: Make) -> None:
    assert code(send(client, status(), signer="")) == (401, "KF120")
    assert code(send(client, status(), signer="edge-2")) == (403, "KF121")
    assert code(send(client, status(edge=DeviceId("edge-2")))) == (403, "KF121")
    assert code(send(client, status(edge=DeviceId("edge-2")), signer="edge-2", edge="edge-2")) == (401, "KF120")
    store.revoke(EDGE, 0)
    assert code(send(client, status())) == (401, "KF120")


@pytest.mark.parametrize("path", ["/api/v1/edges", "/api/v1/edges/edge-1", "/metrics", "/openapi.json", "/nothing"])
@pytest.mark.parametrize("headers", [{}, {"authorization": f"Bearer {TOKEN}x"}, {"authorization": TOKEN}])
def test_what_tells_something_needs_the_token(client: httpx.Client, path: str, headers: dict[str, str]) -> None:
    assert code(client.get(path, headers=headers)) == (401, "KF123")


@pytest.mark.parametrize("path", ["/", "/healthz", "/static/page.js", "/releases/root.json"])
def test_what_tells_nothing_is_open(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert "default-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path", ["/releases/../cloud.db", "/static/../app.py", "/releases/%2e%2e/cloud.db", "/static//etc/passwd"]
)
def test_nothing_beside_the_open_folders_is_served(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code in (401, 404)


def test_every_route_is_behind_the_door(client: httpx.Client) -> None:
    """A route that somebody adds is shut to those who prove nothing, unless it is named as open."""
    described = client.get("/openapi.json", headers=WITH_TOKEN).json()["paths"]
    calls = [(method, path) for path, methods in described.items() for method in methods]
    opened = {
        path
        for method, path in calls
        if client.request(method, path.format(edge="x", model="x", response="x")).status_code != 401
    }
    assert opened == {"/healthz"}
    assert len(calls) >= 5


def test_a_body_without_end_is_cut_off(client: httpx.Client) -> None:
    answer = client.post("/api/v1/edges/edge-1/status", content=b" " * 600_000, headers={"signer": EDGE})
    assert code(answer) == (413, "KF12")


def test_a_fleet_beyond_one_report_still_fits(status: Make) -> None:
    devices = tuple(
        DeviceStatus(device=DeviceId(f"{number:04}" + "x" * 59), role="controller", state="offline", software="x" * 100)
        for number in range(DEVICES_LIMIT)
    )
    assert decode_status(encode_status(status(devices=devices))).devices == devices


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=60).map(str.encode), st.just(b'{"v":2}')))
def test_no_body_breaks_it(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/api/v1/edges/edge-1/status", content=body, headers={"signer": EDGE})
    assert answer.status_code == 422


@given(st.binary(max_size=300))
def test_the_decoder_knows_no_other_error(body: bytes) -> None:
    with contextlib.suppress(KinflowError):
        decode_status(body)


def test_a_store_that_fails_is_told(client: httpx.Client, store: CloudStore) -> None:
    assert client.get("/healthz").json() == {"ok": True, "problems": []}
    store.close()
    assert client.get("/healthz").status_code == 503


def test_the_cloud_answers_in_openais_form(store: CloudStore, tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / FILE_NAME)
    key = keys.add("shop")

    async def make() -> FifoScheduler:
        return await FifoScheduler.open(lambda: FakeEngine(sequences=2, context_tokens=512))

    async def go_on(after: int) -> FifoScheduler:
        raise AssertionError

    served = Served(Service("fake-top", make, keys=keys), lambda: Identity("fake", "1", "a" * 64, "", "top"), go_on)
    clock = ManualClock(wall_ms=1_795_000_000_000)
    context = CloudContext("1.2.3", clock, store, lambda *_: None, TOKEN, serving=served)
    listener = Listener(cloud_app(context), "127.0.0.1", 0)
    listener.start()
    asked = {"prompt": "a", "max_tokens": 3}
    with httpx.Client(base_url=f"http://127.0.0.1:{listener.port}", timeout=10) as client:
        refused = client.post("/v1/completions", json=asked)
        assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
        said = client.post("/v1/completions", json=asked, headers=WITH_TOKEN).json()
        assert said["choices"][0]["finish_reason"] in {"length", "stop"}
        assert client.get("/v1/models", headers=WITH_TOKEN).json()["data"][0]["id"] == "fake-top"
        # Anthropic's clients send it so. It opens the member, and nothing else.
        with_key = {"x-api-key": key}
        message = {"max_tokens": 3, "messages": [{"role": "user", "content": "hello"}]}
        assert client.post("/v1/messages", json=message, headers=with_key).json()["type"] == "message"
        assert client.get("/api/v1/edges", headers=with_key).status_code == 401
        assert client.post("/v1/tiers/open", headers=with_key).status_code == 401
        assert client.post("/v1/messages", json=message, headers={"x-api-key": "no"}).json()["type"] == "error"
        assert "kinflow_serving_first_token_seconds_count 2.0" in client.get("/metrics", headers=WITH_TOKEN).text
        assert client.get("/healthz").json() == {"ok": True, "problems": []}
    listener.stop()
