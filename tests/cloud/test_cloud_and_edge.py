"""A real cloud and a real edge's reporter: joined by a code, by HTTPS where this machine has an address for it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import msgspec
import pytest

from cloud.server import TOKEN_FILE, CloudOptions, CloudServer, lan_addresses
from cloud.store import FILE_NAME, CloudStore
from cloud.trust import CloudTrust
from edge_server.cloud_link.joining import join_cloud
from edge_server.cloud_link.reporter import CloudReporter
from edge_server.cloud_link.sender import CloudSender, load_sender
from kinflow.main import main
from kinflow.main import run as kinflow
from node.clock import Clock, ManualClock, SystemClock
from node.errors import EdgeNotPinned, EdgeNotReached, EdgeRefused, JoinCodeMistyped
from node.ports import first_free_port
from node.token_file import load_or_make_token
from node.trust.known_time import KnownTime
from node.trust.signed_request import sign_request
from protocol.edge_status import EdgeStatus, encode_status
from protocol.ids import DeviceId, SiteId

ROOT = Path(__file__).resolve().parents[2]
EDGE, CLOUD = DeviceId("edge-1"), DeviceId("cloud-1")
LAN = next(iter(lan_addresses()), "127.0.0.1")
Make = Callable[..., EdgeStatus]


def start(home: Path, port: int = 0, clock: Clock | None = None, host: str = LAN) -> CloudServer:
    port = port or first_free_port(18_802)
    server = CloudServer(CloudOptions(home=home, cloud=CLOUD, version="1.2.3", host=host, port=port), clock)
    server.start()
    return server


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[CloudServer]:
    server = start(tmp_path / "cloud")
    yield server
    server.stop()


def code(cloud: CloudServer, **options: object) -> str:
    return cloud._trust.make_code(**options)  # type: ignore[arg-type]


def join(cloud: CloudServer, home: Path, edge: DeviceId = EDGE, host: str = LAN) -> CloudSender:
    assert join_cloud(home, edge, code(cloud), f"{host}:{cloud.port}") == CLOUD
    sender = load_sender(home)
    assert sender is not None
    return sender


def shown(cloud: CloudServer) -> dict[str, dict]:
    token = load_or_make_token(cloud._options.home / TOKEN_FILE)
    answer = httpx.get(f"http://127.0.0.1:{cloud.port}/api/v1/edges", headers={"authorization": f"Bearer {token}"})
    return {one["edge"]: one for one in answer.json()["edges"]}


def test_an_edge_joins_by_a_code_and_reports(cloud: CloudServer, tmp_path: Path, status: Make) -> None:
    sender = join(cloud, tmp_path / "edge")
    assert shown(cloud)["edge-1"]["state"] == "never"
    sender.send(encode_status(status()))
    one = shown(cloud)["edge-1"]
    assert (one["state"], one["devices_total"], one["alarms"]["critical"]) == ("reporting", 2, 1)
    # What an edge has of its own trust is another folder, and stays as it was.
    assert {path.name for path in (tmp_path / "edge").iterdir()} == {"cloud"}


@pytest.mark.skipif(LAN == "127.0.0.1", reason="this machine has no network but itself: HTTPS was not tried")
def test_beyond_this_machine_it_speaks_https_alone(cloud: CloudServer) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://{LAN}:{cloud.port}/healthz")
    with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
        httpx.get(f"https://{LAN}:{cloud.port}/healthz")
    assert httpx.get(f"http://127.0.0.1:{cloud.port}/healthz").json()["ok"]


def test_a_code_is_good_once_and_for_its_cloud(cloud: CloudServer, tmp_path: Path) -> None:
    used = code(cloud)
    join_cloud(tmp_path / "edge", EDGE, used, f"{LAN}:{cloud.port}")
    with pytest.raises(EdgeRefused, match="KF167"):
        join_cloud(tmp_path / "thief", DeviceId("edge-2"), used, f"{LAN}:{cloud.port}")
    other = start(tmp_path / "other", first_free_port(18_902))
    try:
        with pytest.raises(EdgeNotPinned):
            join_cloud(tmp_path / "lost", EDGE, code(cloud), f"{LAN}:{other.port}")
    finally:
        other.stop()
    with pytest.raises(EdgeRefused, match="KF166"):
        join_cloud(tmp_path / "wrong", DeviceId("edge-2"), code(cloud, edge="edge-3"), f"{LAN}:{cloud.port}")
    with pytest.raises(JoinCodeMistyped):
        join_cloud(tmp_path / "typo", EDGE, "ABC", f"{LAN}:{cloud.port}")
    with pytest.raises(EdgeNotReached):
        join_cloud(tmp_path / "gone", EDGE, code(cloud), "127.0.0.1:9")


def test_an_edge_of_the_same_name_takes_the_place_by_a_code_for_that_alone(
    cloud: CloudServer, tmp_path: Path, status: Make
) -> None:
    first = join(cloud, tmp_path / "first")
    with pytest.raises(EdgeRefused, match="KF168"):
        join_cloud(tmp_path / "second", EDGE, code(cloud), f"{LAN}:{cloud.port}")
    join_cloud(tmp_path / "second", EDGE, code(cloud, replaces=True), f"{LAN}:{cloud.port}")
    second = load_sender(tmp_path / "second")
    assert second is not None
    second.send(encode_status(status(boot=1)))
    with pytest.raises(EdgeRefused):
        first.send(encode_status(status()))


def test_a_revoked_edge_is_not_heard_from_that_moment_on(cloud: CloudServer, tmp_path: Path, status: Make) -> None:
    sender = join(cloud, tmp_path / "edge")
    sender.send(encode_status(status(1)))
    # By another process, as `kinflow cloud revoke` does it.
    home = cloud._options.home
    done = subprocess.run(
        [sys.executable, "-m", "kinflow", "cloud", "revoke", "edge-1", "--home", home],
        env={**os.environ, "PYTHONPATH": str(ROOT), "KINFLOW_DEVICE_ID": str(CLOUD)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with pytest.raises(EdgeRefused):
        sender.send(encode_status(status(2)))
    assert shown(cloud)["edge-1"]["state"] == "revoked"
    sender = join(cloud, tmp_path / "anew")
    sender.send(encode_status(status(1, boot=2)))
    assert shown(cloud)["edge-1"]["state"] == "reporting"


def test_a_stolen_report_is_not_heard_again(cloud: CloudServer, tmp_path: Path, status: Make) -> None:
    """Everything that crossed the wire, sent once more; and signed reports under another's name."""
    sender = join(cloud, tmp_path / "edge")
    sender.send(encode_status(status(1)))
    credentials = sender._credentials
    path, body = "/api/v1/edges/edge-1/status", encode_status(status(2))
    headers = sign_request(
        credentials.key(), credentials.certificate, credentials.ca, "POST", path, body, credentials.time.now_ms()
    )
    base = f"http://127.0.0.1:{cloud.port}"
    answers = [httpx.post(base + path, content=body, headers=headers).status_code for _ in range(2)]
    assert answers == [204, 401]
    changed = encode_status(status(3))
    assert httpx.post(base + path, content=changed, headers=headers).status_code == 401
    elsewhere = httpx.post(f"{base}/api/v1/edges/edge-2/status", content=body, headers=headers)
    assert elsewhere.status_code == 401


@pytest.mark.parametrize("off_days", [-2000, -1, 1, 300])
def test_an_edge_whose_clock_is_wrong_is_heard(cloud: CloudServer, tmp_path: Path, status: Make, off_days: int) -> None:
    """It asks the cloud for the time; how wrong its own clock is, is shown."""
    sender = join(cloud, tmp_path / "edge")
    wrong_ms = SystemClock().wall_ms() + off_days * 86_400_000
    object.__setattr__(sender, "_credentials", _with_clock(sender, wrong_ms))
    sender.send(encode_status(status(at_ms=max(0, wrong_ms))))
    assert abs(shown(cloud)["edge-1"]["clock_off_s"]) > 80_000


def _with_clock(sender: CloudSender, wall_ms: int) -> object:
    """The sender's credentials, on a machine whose clock says `wall_ms` and that was told no time since it started."""
    folder = sender._credentials.folder
    (folder / "time.json").unlink(missing_ok=True)
    real = sender._credentials

    class Wrong(type(real)):  # type: ignore[misc]
        @property
        def time(self) -> KnownTime:
            return KnownTime(folder, wall_ms=lambda: wall_ms)

    return Wrong(*(getattr(real, name) for name in ("folder", "joined", "ca", "certificate")))


def test_all_of_it_outlives_a_restart_of_the_cloud(tmp_path: Path, status: Make) -> None:
    first = start(tmp_path / "cloud")
    port, sender = first.port, join(first, tmp_path / "edge")
    sender.send(encode_status(status(5)))
    first.stop()
    with pytest.raises(EdgeNotReached):
        sender.send(encode_status(status(6)))
    second = start(tmp_path / "cloud", port)
    try:
        assert shown(second)["edge-1"]["state"] == "reporting"
        with pytest.raises(EdgeRefused, match="KF122"):
            sender.send(encode_status(status(4)))
        sender.send(encode_status(status(7)))
    finally:
        second.stop()


def test_a_certificate_that_is_due_is_renewed_and_the_door_stays_shut_to_a_late_one(
    tmp_path: Path, status: Make
) -> None:
    clock = ManualClock(wall_ms=SystemClock().wall_ms())
    cloud = start(tmp_path / "cloud", clock=clock)
    try:
        sender = join(cloud, tmp_path / "edge")
        before = sender._credentials.certificate
        clock.advance(5 * 86_400_000)
        sender._looked = False
        sender.send(encode_status(status(1)))
        # The time is learnt with the first look; the certificate is due by it, and renewed with the next.
        sender.send(encode_status(status(2)))
        assert sender._credentials.certificate != before
        clock.advance(60 * 86_400_000)
        sender._looked = False
        with pytest.raises(EdgeRefused):
            sender.send(encode_status(status(3)))
    finally:
        cloud.stop()


def test_a_reporter_goes_on_when_its_cloud_comes_and_goes(tmp_path: Path) -> None:
    edge = SimpleNamespace(
        site=SimpleNamespace(id=SiteId("centre")),
        broker_connected=lambda: True,
        devices=dict,
        read=SimpleNamespace(alarms=lambda limit, active: []),
    )
    reporter = CloudReporter(edge, lambda: load_sender(tmp_path / "edge"), SystemClock())  # type: ignore[arg-type]
    assert reporter.report()
    cloud = start(tmp_path / "cloud")
    port = cloud.port
    join(cloud, tmp_path / "edge")
    assert reporter.report()
    cloud.stop()
    assert not reporter.report()
    cloud = start(tmp_path / "cloud", port)
    try:
        assert reporter.report()
        assert shown(cloud)["edge-1"]["site"] == "centre"
    finally:
        cloud.stop()


def test_records_that_were_lost_take_an_edge_in_again_by_its_certificate(tmp_path: Path, status: Make) -> None:
    cloud = start(tmp_path / "cloud")
    port, sender = cloud.port, join(cloud, tmp_path / "edge")
    cloud.stop()
    (tmp_path / "cloud" / FILE_NAME).unlink()
    (tmp_path / "cloud" / "authority" / "authority.db").unlink()
    cloud = start(tmp_path / "cloud", port)
    try:
        sender.send(encode_status(status()))
        assert shown(cloud)["edge-1"]["state"] == "reporting"
    finally:
        cloud.stop()


def test_an_edge_server_that_runs_begins_to_report_when_it_joins(cloud: CloudServer, tmp_path: Path) -> None:
    """The whole of it, as a person would do it: two servers, one code, and nothing in between."""
    home = tmp_path / "edge"
    with pytest.raises(SystemExit) as ended:
        main(["edge", "join-cloud", code(cloud), "--cloud", f"{LAN}:{cloud.port}", "--home", str(home)])
    assert ended.value.code == 0
    (edge,) = shown(cloud)
    ports = ["--port", str(first_free_port(18_950)), "--broker-port", str(first_free_port(18_983))]
    process = subprocess.Popen(
        [sys.executable, "-m", "kinflow", "edge", "run", "--embed", "amqtt", "--home", home, *ports],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        deadline = time.monotonic() + 25
        while shown(cloud)[edge]["state"] != "reporting" and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.2)
        assert shown(cloud)[edge]["state"] == "reporting"
        # A cloud that goes away holds nothing up.
        cloud.stop()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def test_a_device_of_another_kind_is_no_edge(tmp_path: Path) -> None:
    store = CloudStore(tmp_path / FILE_NAME)
    trust = CloudTrust(tmp_path, CLOUD, SystemClock(), store)
    assert trust.edge_of({"method": "POST", "path": "/", "headers": []}, b"") is None
    trust.close()
    store.close()


def test_the_process_starts_tells_its_page_and_stops(tmp_path: Path) -> None:
    port = first_free_port(18_852)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "KINFLOW_HOME": str(tmp_path / "home"),
            "KINFLOW_CLOUD_PORT": str(port),
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
        }
        process = subprocess.Popen([sys.executable, "-m", "kinflow", "cloud", "run"], env=environment)
        try:
            assert b"READY=1" in manager.recv(4096)
            assert httpx.get(f"http://127.0.0.1:{port}/healthz").json() == {"ok": True, "problems": []}
            assert "Edge servers" in httpx.get(f"http://127.0.0.1:{port}/").text
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINFLOW_HOME", str(tmp_path))
    assert kinflow(["cloud", "code", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["code"].replace("-", "")) == 30
    assert kinflow(["cloud", "edges", "--json"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out) == {"edges": []}
    assert kinflow(["cloud", "revoke", "edge-9"]) == 124
    assert kinflow(["cloud", "page"]) == 0
    assert capsys.readouterr().out.startswith("http://127.0.0.1:8802/#")
    assert kinflow(["config", "check"]) == 0
