"""What the contract doesn't say: how brokers are started, what they leave on disk, TLS, and a cable that is pulled."""

from __future__ import annotations

import dataclasses
import gc
import getpass
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from node.broker import host, mosquitto
from node.broker.amqtt_broker import AmqttBroker
from node.broker.host import start_broker
from node.broker.mosquitto import MosquittoBroker, find_mosquitto, password_line
from node.broker.paho_client import PahoClient
from node.broker.port import BrokerAddress
from node.errors import BrokerFailed, BrokerNotInstalled, BrokerUnreachable, PortInUse

ROOT = Path(__file__).parent.parent.parent
needs_mosquitto = pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")


@pytest.fixture
def running(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[MosquittoBroker]:
    broker = MosquittoBroker(tmp_path / "broker", free_port(), "a secret word")
    broker.start()
    yield broker
    broker.stop()


@pytest.mark.parametrize("kind", [pytest.param("mosquitto", marks=needs_mosquitto), "amqtt"])
def test_a_port_in_use_is_a_clear_error(kind: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=str(port)):
            start_broker(kind, tmp_path, port, "pw")


def test_without_mosquitto_auto_takes_amqtt_and_mosquitto_is_an_error(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (host, mosquitto):
        monkeypatch.setattr(module, "find_mosquitto", lambda: None)
    with pytest.raises(BrokerNotInstalled):
        start_broker("mosquitto", tmp_path, free_port(), "pw")
    broker = start_broker("auto", tmp_path, free_port(), "pw")
    assert isinstance(broker, AmqttBroker)
    broker.stop()


@needs_mosquitto
def test_a_broker_that_ended_by_itself_is_started_again_and_its_clients_come_back(
    running: MosquittoBroker, wait_until: Callable[..., None]
) -> None:
    client = PahoClient(running.address, "c")
    client.start()
    wait_until(lambda: client.connected)
    assert not running.revive()
    assert running.pid is not None
    os.kill(running.pid, signal.SIGKILL)
    wait_until(lambda: not client.connected)
    wait_until(running.revive)
    wait_until(lambda: client.connected)
    client.stop()
    running.stop()
    assert not running.revive()


@needs_mosquitto
def test_a_broker_that_can_not_be_started_again_is_tried_again(
    running: MosquittoBroker, wait_until: Callable[..., None]
) -> None:
    assert running.pid is not None
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        psutil.Process(running.pid).kill()
        os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)
        thief.bind(("127.0.0.1", running.address.port))
        thief.listen()
        with pytest.raises(PortInUse):
            running.revive()
    wait_until(running.revive)


@needs_mosquitto
def test_mosquitto_leaves_no_password_on_disk(running: MosquittoBroker, tmp_path: Path) -> None:
    files = [path for path in (tmp_path / "broker").iterdir() if path.is_file()]
    assert {path.name for path in files} == {"mosquitto.conf", "mosquitto.passwd", "mosquitto.log"}
    assert not any(b"a secret word" in path.read_bytes() for path in files)
    assert (tmp_path / "broker" / "mosquitto.passwd").stat().st_mode & 0o077 == 0
    assert "a secret word" not in repr(running.address)


def test_a_password_line_is_what_mosquitto_passwd_would_write() -> None:
    # mosquitto 2.0.11's own: mosquitto_passwd -b file kinflow pw, read back with its salt and rounds.
    line = password_line("kinflow", "pw", b"123456789012")
    name, empty_and_fields = line.strip().split(":", 1)
    _, kind, rounds, salt, digest = empty_and_fields.split("$")
    assert (name, kind, rounds, salt) == ("kinflow", "7", "1000", "MTIzNDU2Nzg5MDEy")
    assert len(digest) == 88


@needs_mosquitto
def test_mosquitto_listens_on_loopback_alone(running: MosquittoBroker) -> None:
    assert running.pid is not None
    listening = [one for one in psutil.Process(running.pid).net_connections() if one.status == psutil.CONN_LISTEN]
    assert {(one.laddr.ip, one.laddr.port) for one in listening} == {("127.0.0.1", running.address.port)}


@needs_mosquitto
def test_nobody_enters_without_a_name(running: MosquittoBroker, wait_until: Callable[..., None]) -> None:
    client = PahoClient(BrokerAddress(port=running.address.port), "nobody")
    client.start()
    wait_until(lambda: client.error is not None)
    client.stop()
    assert client.error is not None
    assert client.error.code == "KF42"


@needs_mosquitto
def test_a_broker_that_can_not_start_says_why(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mosquitto, "MAX_PACKET_BYTES", -5)
    with pytest.raises(BrokerFailed, match="max_packet_size"):
        MosquittoBroker(tmp_path, free_port(), "pw").start()


@needs_mosquitto
def test_mosquitto_dies_with_its_parent(
    tmp_path: Path, free_port: Callable[[], int], wait_until: Callable[..., None]
) -> None:
    source = (
        "import sys, time; from pathlib import Path; from node.broker.mosquitto import MosquittoBroker\n"
        "broker = MosquittoBroker(Path(sys.argv[1]), int(sys.argv[2]), 'pw'); broker.start()\n"
        "print(broker.pid, flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", source, str(tmp_path), str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.kill()
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


@needs_mosquitto
def test_a_pulled_cable_is_noticed_and_healed(
    running: MosquittoBroker, proxy_to: Callable[[int], Any], wait_until: Callable[..., None]
) -> None:
    proxy = proxy_to(running.address.port)
    client = PahoClient(dataclasses.replace(running.address, port=proxy.port), "c", keepalive_s=1)
    client.start()
    wait_until(lambda: client.connected)
    proxy.freeze()
    wait_until(lambda: not client.connected)
    proxy.thaw()
    wait_until(lambda: client.connected)
    client.stop()


@needs_mosquitto
def test_the_window_is_bounded_while_nobody_answers(
    running: MosquittoBroker, proxy_to: Callable[[int], Any], wait_until: Callable[..., None]
) -> None:
    proxy = proxy_to(running.address.port)
    client = PahoClient(dataclasses.replace(running.address, port=proxy.port), "c", window=10)
    client.start()
    wait_until(lambda: client.connected)
    proxy.freeze()
    wait_until(lambda: not client.publish("t", b"x", 1))
    taken = 0
    while client.publish("t", b"x", 1):
        taken += 1
    assert taken <= 10
    proxy.thaw()
    wait_until(lambda: client.publish("t", b"x", 1))
    client.stop()


def test_stop_before_a_connection_ends_at_once(free_port: Callable[[], int]) -> None:
    client = PahoClient(BrokerAddress(port=free_port()), "c")
    client.start()
    client.stop()
    assert not client.connected


@needs_mosquitto
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves the refused socket to GC
def test_tls_is_used_and_the_certificate_is_checked(
    tmp_path: Path, free_port: Callable[[], int], wait_until: Callable[..., None]
) -> None:
    key, certificate, port = tmp_path / "key.pem", tmp_path / "cert.pem", free_port()
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 "
        f"-keyout {key} -out {certificate}".split(),
        check=True,
        capture_output=True,
    )
    configuration = tmp_path / "tls.conf"
    configuration.write_text(
        f"listener {port} 127.0.0.1\nuser {getpass.getuser()}\nallow_anonymous true\n"
        f"certfile {certificate}\nkeyfile {key}\n"
    )
    with subprocess.Popen([find_mosquitto() or "", "-c", str(configuration)], stderr=subprocess.DEVNULL) as process:
        try:
            address = BrokerAddress(port=port, tls=True)
            trusting = PahoClient(address, "a", tls=lambda: ssl.create_default_context(cafile=certificate))
            trusting.start()
            wait_until(lambda: trusting.connected)
            trusting.stop()
            strict = PahoClient(address, "b")
            strict.start()
            wait_until(lambda: isinstance(strict.error, BrokerUnreachable) and "certificate" in str(strict.error))
            strict.stop()
        finally:
            os.kill(process.pid, signal.SIGTERM)
    gc.collect()
