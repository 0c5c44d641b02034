"""Two edge servers become a pair for real: invited, joined, started anew, and one in who is in and who is out."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_server.accounts.accounts import Accounts
from edge_server.accounts.rows import Actor
from edge_server.pair.peer import load_peer
from node.broker.mosquitto import find_mosquitto
from node.broker.paho_client import PahoClient
from node.broker.port import BrokerAddress
from node.clock import SystemClock
from node.errors import EdgeRefused
from node.identity import Identity
from node.ports import any_free_port
from node.trust.asking import asker_of
from node.trust.join_code import decode
from node.trust.joining import Joining
from protocol.codec import encode
from protocol.ids import DeviceId
from protocol.messages import Alarm
from protocol.topics import ALARM

ROOT = Path(__file__).resolve().parents[3]
# Not 127.0.0.1: by other addresses an edge server speaks HTTPS. All of them are loopback.
HOSTS = {"edge-a": "127.0.0.2", "edge-b": "127.0.0.3"}

pytestmark = [
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
    pytest.mark.timeout(280),
]


def until(condition: Callable[[], object], within_s: float = 90.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


class Server:
    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.host, self.home = name, HOSTS[name], folder / name
        self.http, self.mqtts = any_free_port(self.host), any_free_port(self.host)
        self.environment = os.environ | {
            "KINFLOW_HOME": str(self.home),
            "KINFLOW_DEVICE_ID": name,
            "KINFLOW_EDGE_HOST": self.host,
            "KINFLOW_EDGE_ALLOW_LAN": "true",
            "KINFLOW_EDGE_PORT": str(self.http),
            "KINFLOW_BROKER_PORT": str(any_free_port(self.host)),
            "KINFLOW_BROKER_TLS_PORT": str(self.mqtts),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.home.mkdir(parents=True)

    @property
    def log(self) -> str:
        return (self.home / "out.log").read_text()

    def start(self) -> None:
        with (self.home / "out.log").open("wb") as log:
            command = [sys.executable, "-m", "kinflow", "edge", "run"]
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, cwd=ROOT)
        until(self._runs)

    def _runs(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        return "the edge server runs" in self.log

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def command(self, *arguments: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "kinflow", "edge", *arguments],
            env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    def code(self, device: str) -> str:
        return str(json.loads(self.command("code", "--approved", "--for", device, "--json"))["code"])

    @property
    def broker(self) -> BrokerAddress:
        return BrokerAddress(host=self.host, port=self.mqtts, tls=True)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    tmp_path = tmp_path_factory.mktemp("pair")
    first, second = Server(tmp_path, "edge-a"), Server(tmp_path, "edge-b")
    (first.home / "site.toml").write_text('id = "crossing"\n')
    try:
        first.start()
        code = first.command("pair", "invite", "edge-b").split()[0]
        told = second.command("pair", "join", code, "--edge", f"{first.host}:{first.http}", "--host", second.host)
        assert "edge-a" in told
        assert "second of a pair" in second.command("pair", "show")
        first.stop()
        first.start()
        second.start()
        yield first, second
    finally:
        first.stop()
        second.stop()


def _speak(device: PahoClient, name: str) -> bool:
    """What a broker takes before it knows the device is dropped: say it until it comes back."""
    device.publish(f"kinflow/1/{name}/presence", b"{}", 1)
    return False


def test_who_joins_or_is_put_out_at_one_is_in_or_out_at_both(pair: tuple[Server, Server], tmp_path: Path) -> None:
    first, second = pair
    for server, other in ((first, second), (second, first)):
        peer = load_peer(server.home)
        assert peer is not None
        assert (peer.edge, peer.http_port, peer.mqtts_port) == (other.name, other.http, other.mqtts)
        until(lambda server=server: server.log.count('"connected to') == 3)
    assert (second.home / "site.toml").read_text() == 'id = "crossing"\n'
    assert (second.home / "authority" / "ca.pem").read_text() == (first.home / "authority" / "ca.pem").read_text()

    for at, other, name in ((first, second, "cam-1"), (second, first, "cam-2")):
        asked = Joining(tmp_path / name, decode(at.code(name)), at.host, at.http, DeviceId(name)).ask()
        assert asked.credentials is not None
        device = PahoClient(other.broker, name, tls=asked.credentials.tls)
        device.start()
        heard: list[object] = []
        device.subscribe(f"kinflow/1/{name}/presence", 1, heard.append)
        until(lambda device=device, heard=heard, name=name: heard or _speak(device, name))
        at.command("revoke", name)
        until(lambda device=device: not device.connected and device.error is not None)
        device.stop()


def _rows(server: Server, columns: str, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{server.home / 'edge.db'}?mode=ro", uri=True)) as store:
        return store.execute(f"SELECT {columns} FROM {table}").fetchall()


def _alarms(server: Server) -> set[tuple[object, ...]]:
    return set(_rows(server, "source, boot, seq, alarm, active, text, at_ms", "alarms"))


def _put_in(server: Server) -> None:
    """More than fits one answer, and a log of decisions, as a long outage of the other one leaves them."""
    with closing(sqlite3.connect(server.home / "edge.db", timeout=30)) as store, store:
        store.executemany(
            "INSERT INTO alarms VALUES (NULL, 'cam-9', 'aaaaaaaaaaaaaaaa', ?, 'a', 'b', 'info', 1, 't', NULL, 1, ?, 0)",
            [(seq, int(time.time() * 1000)) for seq in range(1, 1_201)],
        )
        store.executemany(
            "INSERT INTO signal_log VALUES (NULL, ?, 'north', 'fixed-time', '[2,6]', 'why', '', 'sent')",
            [(int(time.time() * 1000) + number,) for number in range(700)],
        )


def test_what_one_heard_alone_is_in_both_stores_afterwards(pair: tuple[Server, Server], tmp_path: Path) -> None:
    first, second = pair
    asked = Joining(tmp_path / "cam-3", decode(first.code("cam-3")), first.host, first.http, DeviceId("cam-3")).ask()
    assert asked.credentials is not None
    identity = Identity(DeviceId("cam-3"), SystemClock())
    for away, there in ((second, first), (first, second)):
        away.stop()
        device = PahoClient(there.broker, "cam-3", tls=asked.credentials.tls)
        device.start()
        until(lambda device=device: device.connected)
        for number in range(3):
            message = Alarm(
                **identity.accounted(), alarm="fire", subject="cam-3", severity="critical", active=True,
                text=f"number {number}",
            )  # fmt: skip
            topic, stored = ALARM.of(DeviceId("cam-3")), (message.boot, message.seq)
            until(
                lambda device=device, message=message, topic=topic, there=there, stored=stored: (
                    device.publish(topic, encode(message), 1) and stored in _rows(there, "boot, seq", "alarms")
                )
            )
        device.stop()
        if away is second:
            _put_in(there)
        away.start()
        until(lambda away=away, there=there: _alarms(there) <= _alarms(away))
    assert len([one for one in _alarms(first) if one[0] == "cam-3"]) == 6
    decisions = _rows(first, "at_ms, intersection, phases, reason, outcome", "signal_log")
    until(lambda: len(_rows(second, "id", "signal_log")) >= 700)
    assert sorted(_rows(second, "at_ms, intersection, phases, reason, outcome", "signal_log")) == sorted(decisions)
    assert len(set(decisions)) == len(decisions) == 700


def test_accounts_and_the_site_file_are_kept_in_step(pair: tuple[Server, Server]) -> None:
    first, second = pair
    for at, other, name in ((first, second, "anna"), (second, first, "bert")):
        with closing(Accounts(at.home / "accounts.db", SystemClock(), "")) as accounts:
            accounts.users.add(name, "admin", "four words nobody joins", Actor("tests"))
        (at.home / "site.toml").write_text(f'id = "crossing"\nname = "as {name} has it"\n')
        with closing(Accounts(other.home / "accounts.db", SystemClock(), "")) as accounts:
            until(lambda accounts=accounts, name=name: name in [one.name for one in accounts.users.all()])
        until(lambda other=other, name=name: name in (other.home / "site.toml").read_text())
    lines = [row[0] for row in _rows(second, "kind", "events")]
    assert "site-taken-over" in lines


def test_the_root_key_is_for_the_invited_edge_server_alone(tmp_path: Path) -> None:
    first = Server(tmp_path, "edge-a")
    try:
        first.start()
        device = Joining(tmp_path / "cam", decode(first.code("cam-1")), first.host, first.http, DeviceId("cam-1")).ask()
        assert device.credentials is not None
        asker = asker_of(first.host, first.http, device.credentials.ca)
        ask = {"hosts": ["127.0.0.9"], "mqtts_port": 8883, "http_port": 8800}
        with pytest.raises(EdgeRefused, match="KF223"):
            asker.post_signed("/pair/join", ask, dict, device.credentials)
        assert not (first.home / "pair.json").exists()
        taken = Server(tmp_path, "edge-b")
        code = first.command("pair", "invite", "edge-b").split()[0]
        edge = f"{first.host}:{first.http}"
        assert "edge-a" in taken.command("pair", "join", code, "--edge", edge, "--host", taken.host)
        assert "KF167" in Server(tmp_path / "elsewhere", "edge-b").command(
            "pair", "join", code, "--edge", edge, status=162
        )
    finally:
        first.stop()
