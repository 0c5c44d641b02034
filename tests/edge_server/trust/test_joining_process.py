"""Joining over real HTTPS and TLS: edge servers as processes of their own, devices with real credentials."""

from __future__ import annotations

import http.client
import json
import logging
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from edge_server.pair.peer import Peer
from edge_server.trust.device_routes import JOINS_AT_ONCE
from edge_server.trust.pair_sync import PairSync
from edge_server.trust.trust import EdgeTrust
from node.broker.mosquitto import find_mosquitto
from node.broker.paho_client import PahoClient
from node.clock import SystemClock
from node.config.schema import Time
from node.errors import EdgeNotPinned, EdgeNotReached, EdgeRefused
from node.ports import any_free_port
from node.time.gather import gather
from node.trust import credentials as stored
from node.trust.asking import BASE, asker_of, find_root
from node.trust.csr import make_csr
from node.trust.join_code import decode
from node.trust.joining import Joining, Progress
from node.trust.keeper import Keeper
from node.trust.keys import new_key
from node.trust.membership import Membership
from node.trust.signed_request import sign_request
from node.trust.tls import PinnedContext
from node.trust.wire import Members
from protocol.ids import DeviceId
from tests.film import film

# Not 127.0.0.1: there the gateway speaks HTTP; by every other address it speaks HTTPS. It is loopback all the same.
HOST = "127.0.0.2"
ROOT = Path(__file__).resolve().parents[3]
WITHIN_S = 60.0

pytestmark = [
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
    pytest.mark.timeout(150),
]


def until(condition: Callable[[], object], within_s: float = WITHIN_S) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


class EdgeProcess:
    def __init__(self, home: Path, name: str = "edge-1", ports: tuple[int, int] | None = None, **settings: str) -> None:
        """ports: of HTTP and of MQTT by TLS; None for any."""
        self.home = home
        self.http, self.mqtts = ports or (any_free_port(HOST), any_free_port(HOST))
        self.environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "KINFLOW_HOME": str(home),
            "KINFLOW_DEVICE_ID": name,
            "KINFLOW_EDGE_HOST": HOST,
            "KINFLOW_EDGE_ALLOW_LAN": "true",
            "KINFLOW_EDGE_PORT": str(self.http),
            "KINFLOW_BROKER_PORT": str(any_free_port(HOST)),
            "KINFLOW_BROKER_TLS_PORT": str(self.mqtts),
            **settings,
        }
        home.mkdir(parents=True, exist_ok=True)
        self._log = (home / "out.log").open("wb")
        command = [sys.executable, "-m", "kinflow", "edge", "run"]
        self.process = subprocess.Popen(command, env=self.environment, stdout=self._log, stderr=self._log)
        until(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.home / "out.log").read_text()
        try:
            self.call("GET", "/healthz", prefix="")
        except OSError:
            return False
        return True

    def cli(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "kinflow", "edge", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def call(
        self, method: str, path: str, body: Any = None, *, prefix: str = "/api/v1/trust", operator: bool = False
    ) -> tuple[int, Any]:
        """Over HTTPS that believes this edge's root."""
        context = None
        if (self.home / "authority/ca.pem").exists():
            context = PinnedContext((self.home / "authority/ca.pem").read_text(), None)
        connection = http.client.HTTPSConnection(HOST, self.http, timeout=10, context=context)
        headers = {"Content-Type": "application/json"}
        if operator:
            headers["Authorization"] = f"Bearer {(self.home / 'edge-token').read_text().strip()}"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        try:
            connection.request(method, prefix + path, data, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(text) if text.startswith((b"{", b"[")) else text

    def code(self, **said: object) -> str:
        status, made = self.call("POST", "/codes", {"approved": True, **said}, operator=True)
        assert status == 201, made
        return str(made["code"])

    def trust(self) -> Any:
        status, view = self.call("GET", "", operator=True)
        assert status == 200
        return view

    def alarms(self) -> list[str]:
        _, found = self.call("GET", "/alarms?standing=true", prefix="/api/v1", operator=True)
        return [one["alarm"] for one in found]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self._log.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)
        self._log.close()


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeProcess]:
    made = EdgeProcess(tmp_path_factory.mktemp("edge"), KINFLOW_TRUST_CERTIFICATE_DAYS="0.0003")
    yield made
    made.stop()


class Device:
    """A joined device: its credentials, its keeper and its connection."""

    def __init__(self, home: Path, ask_every_s: float = 2.0, away_s: float = 20.0) -> None:
        self.names: list[str] = []
        self.home = home
        self.member = Membership(home, self.names.append, settle_s=40.0, ask_every_s=ask_every_s, away_s=away_s)
        self.client = PahoClient(self.member.brokers, self.member.keeper.credentials.device, tls=self.member.tls)
        self.changes: list[bool] = []
        self.client.watch(self.changes.append)

    def start(self) -> Device:
        self.client.start()
        self.member.start(self.client)
        return self

    def stop(self) -> None:
        self.member.stop()
        self.client.stop()


def join(edge: EdgeProcess, home: Path, device: str, code: str | None = None) -> Progress:
    return Joining(home, decode(code or edge.code()), HOST, edge.http, DeviceId(device)).ask()


def test_joins_connects_renews_is_renamed_and_is_put_out(edge: EdgeProcess, tmp_path: Path) -> None:
    progress = join(edge, tmp_path, "cam-1")
    assert progress.state == "issued"
    first = stored.load(tmp_path)
    assert first is not None
    device = Device(tmp_path).start()
    try:
        until(lambda: device.client.connected)
        edge.cli("rename", "cam-1", "North gate")
        until(lambda: device.names == ["North gate"])
        # Its certificate lasts for 26 seconds: it is renewed while the connection stands.
        until(lambda: device.member.keeper.credentials.facts.serial != first.facts.serial)
        assert device.changes == [True]
        assert device.member.keeper.credentials.facts.key_digest == first.facts.key_digest
        edge.cli("revoke", "cam-1")
        until(lambda: not device.client.connected, 5)
        until(lambda: device.client.error is not None)
        assert not device.client.connected
        until(lambda: device.member.keeper.refusal is not None)
        assert device.member.keeper.refusal.fields["refusal"] == "KF169"
    finally:
        device.stop()


def test_a_device_that_is_not_let_in_asks_why_long_before_its_next_round(edge: EdgeProcess, tmp_path: Path) -> None:
    join(edge, tmp_path, "cam-15")
    (tmp_path / "trust/time.json").unlink()
    device = Device(tmp_path, ask_every_s=900.0, away_s=1.0).start()
    try:
        until(lambda: device.client.connected)
        until(lambda: device.member.keeper.credentials.time.said_ms() is not None)  # the first round is over
        edge.cli("revoke", "cam-15")
        until(lambda: device.member.keeper.refusal is not None)
        assert device.member.keeper.refusal.fields["refusal"] == "KF169"
    finally:
        device.stop()


def test_each_reason_why_a_device_can_not_ask_is_told_once(
    edge: EdgeProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    join(edge, tmp_path, "cam-16")
    away = EdgeNotReached(host=HOST, detail="it is away")
    refused = EdgeRefused(refusal="KF169", detail="it was revoked", remedy="")
    raised = [away, away, refused, refused]
    asked: list[object] = []

    def ask(*_: object) -> None:
        asked.append(raised[min(len(asked), 3)])
        raise asked[-1]

    monkeypatch.setattr("node.trust.keeper.ask_standing", ask)
    caplog.set_level(logging.WARNING, "node.trust.keeper")
    keeper = Keeper(tmp_path, lambda _: None, lambda: True, ask_every_s=0.1)
    keeper.start()
    try:
        until(lambda: len(asked) > 4)
    finally:
        keeper.stop()
    told = [record.getMessage() for record in caplog.records if record.name == "node.trust.keeper"]
    assert [("away" in text, "revoked" in text) for text in told] == [(True, False), (False, True)]


def test_a_person_agrees(edge: EdgeProcess, tmp_path: Path) -> None:
    code = edge.code(approved=False)
    progress = join(edge, tmp_path, "cam-2", code)
    assert progress.state == "pending"
    (request,) = [one for one in edge.trust()["requests"] if one["device"] == "cam-2"]
    assert request["fingerprint"] == progress.fingerprint
    assert stored.load(tmp_path) is None
    edge.cli("approve", "cam-2")
    assert join(edge, tmp_path, "cam-2", code).state == "issued"
    device = Device(tmp_path).start()
    try:
        until(lambda: device.client.connected)
    finally:
        device.stop()


def test_a_person_refuses(edge: EdgeProcess, tmp_path: Path) -> None:
    code = edge.code(approved=False)
    join(edge, tmp_path, "cam-3", code)
    edge.cli("refuse", "cam-3")
    assert join(edge, tmp_path, "cam-3", code).state == "refused"
    assert stored.load(tmp_path) is None


def test_the_command_line_joins(edge: EdgeProcess, tmp_path: Path) -> None:
    code = json.loads(edge.cli("code", "--approved", "--json"))
    assert code["edge"] == f"{HOST}:{edge.http}"
    command = [sys.executable, "-m", "kinflow", "join", code["code"].lower(), "--edge", code["edge"], "--id", "cam-4"]
    environment = edge.environment | {"KINFLOW_HOME": str(tmp_path)}
    done = subprocess.run(
        [*command, "--json"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["edge"] == "edge-1"
    assert stored.load(tmp_path) is not None
    (listed,) = [one for one in json.loads(edge.cli("devices", "--json"))["joined"] if one["device"] == "cam-4"]
    assert (listed["state"], listed["address"], listed["fingerprint"]) == (
        "joined",
        "127.0.0.1",
        json.loads(done.stdout)["fingerprint"],
    )
    assert "cam-4" in edge.cli("devices")
    again = subprocess.run(
        [*command[:4], code["code"], *command[5:-1], "cam-5"],
        env=environment | {"KINFLOW_HOME": str(tmp_path / "other")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert again.returncode == 162
    assert "KF167" in again.stderr
    until(lambda: "join-code-used-twice" in edge.alarms())
    edge.cli("seen")
    until(lambda: "join-code-used-twice" not in edge.alarms())


def test_an_impostor_of_the_same_name_learns_nothing(edge: EdgeProcess, tmp_path: Path) -> None:
    """The code pins another root: neither the secret nor a request is sent."""
    from node.trust.authority import Authority  # noqa: PLC0415
    from node.trust.join_code import new_code  # noqa: PLC0415

    theirs = Authority(tmp_path / "theirs", DeviceId("edge-1"), time.time_ns() // 1_000_000)
    before = edge.trust()["audit"]
    with pytest.raises(EdgeNotPinned):
        Joining(tmp_path, new_code(theirs.pin), HOST, edge.http, DeviceId("cam-6")).ask()
    assert edge.trust()["audit"] == before
    assert list(tmp_path.iterdir()) == [tmp_path / "theirs"]


def test_a_clock_that_is_years_off(edge: EdgeProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time_ns
    for name, years in (("cam-7", -12), ("cam-8", 9)):
        monkeypatch.setattr(time, "time_ns", lambda years=years: real() + years * 31_557_600 * 10**9)
        home = tmp_path / name
        assert join(edge, home, name).state == "issued"
        (home / "trust/time.json").unlink()  # as after a restart
        device = Device(home).start()
        try:
            known = device.member.keeper.credentials.time
            until(lambda client=device.client: client.connected)
            until(lambda known=known: known.offset_ms() is not None)
            offset_ms = known.offset_ms()
            assert offset_ms is not None
            assert abs(offset_ms + years * 31_557_600_000) < 60_000
        finally:
            device.stop()


def test_a_joined_device_may_set_its_clock_by_the_edge_server(edge: EdgeProcess, tmp_path: Path) -> None:
    """By time that is signed for a nonce of its own; asked anew, whatever was known before."""
    join(edge, tmp_path, "cam-13")
    year_ms = 31_557_600_000
    found = gather(tmp_path, Time(), lambda: time.time_ns() // 1_000_000 - year_ms, ntp_error_ms=lambda: None)
    (reading,) = found.readings
    assert reading.source == "edge"
    assert abs(reading.offset_ms - year_ms) <= reading.error_ms


def test_what_the_door_refuses(edge: EdgeProcess) -> None:
    good = {"attempt": secrets.token_hex(16), "secret": decode(edge.code()).secret.hex()}
    csr = make_csr(new_key(), DeviceId("cam-9"), "agent")
    for body, status in (
        (b"x" * 70_000, 413),
        (b"\xff", 422),
        (b"[]", 422),
        (good, 422),
        (good | {"csr": "none"}, 422),
        (good | {"csr": csr, "attempt": "x"}, 422),
        (good | {"csr": csr, "more": 1}, 422),
        (good | {"csr": csr, "secret": "0" * 14}, 403),
    ):
        answer = edge.call("POST", "/join", body)
        assert answer[0] == status, answer
        assert "BEGIN" not in str(answer[1])
        assert good["secret"] not in str(answer[1])
    assert edge.call("POST", "/renew", {})[0] == 401
    assert edge.call("GET", "/time?nonce=1")[0] == 422
    assert edge.call("GET", f"/join/{'0' * 32}")[0] == 404
    assert edge.call("GET", "")[0] == 401
    assert edge.call("POST", "/codes", {})[0] in {401, 403}
    # A replay of the very same request is answered alike; the same under another number is refused.
    assert edge.call("POST", "/join", good | {"csr": csr})[0] == 200
    assert edge.call("POST", "/join", good | {"csr": csr})[0] == 200
    status, said = edge.call("POST", "/join", good | {"csr": csr, "attempt": secrets.token_hex(16)})
    assert (status, said["error"]["code"]) == (409, "KF167")
    fresh = {"attempt": secrets.token_hex(16), "secret": decode(edge.code()).secret.hex(), "csr": csr}
    status, said = edge.call("POST", "/join", fresh)
    assert (status, said["error"]["code"]) == (422, "KF165")


def guess(edge: EdgeProcess, csr: str, source: str) -> int:
    context = PinnedContext((edge.home / "authority/ca.pem").read_text(), None)
    ask = http.client.HTTPSConnection(HOST, edge.http, timeout=30, source_address=(source, 0), context=context)
    body = json.dumps({"attempt": secrets.token_hex(16), "secret": "0" * 14, "csr": csr})
    try:
        ask.request("POST", f"{BASE}/join", body, {"Content-Type": "application/json"})
        return ask.getresponse().status
    finally:
        ask.close()


def test_guessing_is_slowed_down_and_told(tmp_path: Path) -> None:
    own = EdgeProcess(tmp_path / "edge", "edge-9")
    try:
        csr = make_csr(new_key(), DeviceId("cam-9"), "agent")
        answers = [
            own.call("POST", "/join", {"attempt": secrets.token_hex(16), "secret": "0" * 14, "csr": csr})[0]
            for _ in range(12)
        ]
        assert answers == [403] * 10 + [429] * 2
        # All at once from elsewhere: those that wait for their turn are not looked at any more, and hold up nobody.
        with ThreadPoolExecutor(40) as crowd:
            guesses = Counter(crowd.map(lambda _: guess(own, csr, "127.0.0.99"), range(80)))
        assert guesses[403] < 10 + JOINS_AT_ONCE
        assert guesses[403] + guesses[429] == 80
        until(lambda: "join-codes-guessed" in own.alarms())
        # On this machine the same port speaks plain HTTP, and by the address HTTPS.
        plain = http.client.HTTPConnection("127.0.0.1", own.http, timeout=10)
        plain.request("GET", "/healthz")
        assert plain.getresponse().status == 200
        plain.close()
    finally:
        own.stop()


def test_a_device_moves_to_another_edge_server_and_stays_when_it_can_not(edge: EdgeProcess, tmp_path: Path) -> None:
    other = EdgeProcess(tmp_path / "edge", "edge-2")
    device = None
    try:
        join(edge, tmp_path / "cam", "cam-10")
        device = Device(tmp_path / "cam").start()
        until(lambda: device.client.connected)
        refused = other.code()
        join(other, tmp_path / "another", "cam-11", refused)  # the code is spent
        edge.cli("move", "cam-10", "--code", refused, "--edge", f"{HOST}:{other.http}")
        until(lambda: any(row["kind"] == "move-failed" for row in edge.trust()["audit"]))
        assert device.member.keeper.credentials.edge == "edge-1"
        edge.cli("move", "cam-10", "--code", other.code(device="cam-10"), "--edge", f"{HOST}:{other.http}")
        until(lambda: device.member.keeper.credentials.edge == "edge-2")
        until(lambda: device.client.connected and not (tmp_path / "cam/trust.before").exists())
        states = {row["device"]: row["state"] for row in edge.trust()["devices"]}
        assert states["cam-10"] == "revoked"
        assert {row["device"] for row in other.trust()["devices"] if row["state"] == "joined"} == {"cam-10", "cam-11"}
    finally:
        if device is not None:
            device.stop()
        other.stop()


def test_an_agent_that_has_joined_is_seen_renamed_and_put_out(edge: EdgeProcess, tmp_path: Path) -> None:
    """The real agent's process, which renews by itself meanwhile."""
    join(edge, tmp_path, "cam-20")
    command = [sys.executable, "-m", "kinflow", "agent", "run", "--camera", str(film(tmp_path / "road.avi"))]
    environment = edge.environment | {"KINFLOW_HOME": str(tmp_path), "KINFLOW_DEVICE_ID": ""}
    log = (tmp_path / "agent.log").open("wb")
    agent = subprocess.Popen(
        [*command, "--road-width", "7", "--road-length", "40", "--no-page"], env=environment, stdout=log, stderr=log
    )

    def seen() -> tuple[str, str]:
        _, devices = edge.call("GET", "/devices", prefix="/api/v1", operator=True)
        return next(((one["state"], one["name"]) for one in devices if one["id"] == "cam-20"), ("", ""))

    try:
        first = stored.load(tmp_path)
        until(lambda: seen()[0] == "online")
        edge.cli("rename", "cam-20", "North gate")
        until(lambda: seen() == ("online", "North gate"))
        until(lambda: stored.load(tmp_path).facts.serial != first.facts.serial)
        assert seen()[0] == "online"
        edge.cli("revoke", "cam-20")
        until(lambda: seen()[0] == "offline")
        assert agent.poll() is None
    finally:
        agent.terminate()
        agent.wait(20)
        log.close()


def test_a_board_takes_anothers_place(edge: EdgeProcess, tmp_path: Path) -> None:
    join(edge, tmp_path / "old", "cam-12")
    with pytest.raises(EdgeRefused, match="KF168"):
        join(edge, tmp_path / "new", "cam-12")
    code = json.loads(edge.cli("replace", "cam-12", "--json"))["code"]
    old = Device(tmp_path / "old").start()
    try:
        until(lambda: old.client.connected)
        assert join(edge, tmp_path / "new", "cam-12", code).state == "issued"
        until(lambda: not old.client.connected, 5)
        new = Device(tmp_path / "new").start()
        try:
            until(lambda: new.client.connected)
        finally:
            new.stop()
    finally:
        old.stop()


def test_the_other_edge_server_of_a_pair_learns_who_has_joined(edge: EdgeProcess, tmp_path: Path) -> None:
    """Over HTTPS, by a request that its server key signs; a device's key gets no such answer."""
    (tmp_path / "authority").mkdir()
    for name in ("ca.key", "ca.pem"):
        shutil.copy(edge.home / "authority" / name, tmp_path / "authority" / name)
    join(edge, tmp_path / "cam", "cam-30")
    second = EdgeTrust(tmp_path, DeviceId("edge-2"), SystemClock())
    sync = PairSync(
        second, Peer(edge=DeviceId("edge-1"), hosts=("127.0.0.3", HOST), rank="second", http_port=edge.http)
    )
    try:
        assert sync.pull()
        assert "cam-30" in {member.device for member in second.members()}
        edge.cli("revoke", "cam-30")
        assert sync.pull()
        assert "cam-30" not in {member.device for member in second.members()}
        cam = stored.load(tmp_path / "cam")
        assert cam is not None
        now_ms = time.time_ns() // 1_000_000
        headers = sign_request(cam.key(), cam.certificate, cam.ca, "GET", BASE + "/members", b"", now_ms)
        with pytest.raises(EdgeRefused, match="KF169"):
            asker_of(HOST, edge.http, cam.ca).get_signed("/members", Members, headers)
        join(edge, tmp_path / "other", "cam-31")
        other = stored.load(tmp_path / "other")
        assert other is not None
        headers = sign_request(other.key(), other.certificate, other.ca, "GET", BASE + "/members", b"", now_ms)
        with pytest.raises(EdgeRefused, match="only an edge server"):
            asker_of(HOST, edge.http, other.ca).get_signed("/members", Members, headers)
    finally:
        second.close()


def test_the_root_is_told_to_everybody_and_pinned_by_the_code(edge: EdgeProcess) -> None:
    code = decode(edge.code())
    root, _ = find_root(HOST, edge.http, code)
    assert root.edge == "edge-1"
    assert asker_of(HOST, edge.http, root.ca).get("/ca", type(root)) == root
    assert edge.call("GET", "/crl")[1].startswith(b"-----BEGIN X509 CRL")
