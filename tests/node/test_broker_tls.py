"""The door for joined devices on a real mosquitto: who comes in, what each may do, and how one is thrown out."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from node.broker import mosquitto
from node.broker.acl import Member
from node.broker.host import start_broker
from node.broker.mosquitto import MosquittoBroker, find_mosquitto
from node.broker.paho_client import PahoClient
from node.broker.port import BrokerAddress, Received, Will
from node.broker.tls import BrokerTls
from node.errors import BrokerNotForJoined, BrokerTrustUnusable
from protocol.ids import DeviceId
from protocol.topics import (
    ACK,
    ALARM,
    CONFIG_COMMAND,
    DECLARATION,
    HEARTBEAT,
    OBSERVATION,
    PRESENCE,
    SIGNAL_COMMAND,
    TOPICS,
)
from tests.node.pki import DAY, TestAuthority

pytestmark = [
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
    # paho leaves a socket that the broker refused to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
CAM, OTHER, LIGHT = DeviceId("cam-1"), DeviceId("cam-2"), DeviceId("light-1")
MIB = 1024 * 1024
ROLES = {CAM: "agent", OTHER: "agent", LIGHT: "controller", DeviceId("edge-2"): "edge"}


class Site:
    """An authority, its broker, a client of our own on loopback, and clients by certificate."""

    def __init__(self, folder: Path, free_port: Callable[[], int], wait_until: Callable[..., None]) -> None:
        self.authority = TestAuthority(folder / "authority")
        self.wait = wait_until
        self.members = dict(ROLES)
        for name in ("server", *ROLES):
            self.authority.issue(name)
        files = self.authority.folder
        self.tls = BrokerTls(
            ca=files / "ca.pem",
            certificate=files / "server.pem",
            key=files / "server.key",
            crl=files / "crl.pem",
            members=lambda: [Member(name, role) for name, role in self.members.items()],
            port=free_port(),
        )
        self.broker = MosquittoBroker(folder / "broker", free_port(), "a secret word", self.tls)
        self.broker.start()
        self._clients: list[PahoClient] = []
        self.heard: list[Received] = []
        self.root = PahoClient(self.broker.address, "root")
        self.root.subscribe("#", 1, self.heard.append)
        self.enter(self.root)

    def client(self, name: str | None, client_id: str = "", will: Will | None = None, **more: Any) -> PahoClient:
        context = more.pop("context", None) or self.authority.context(name)
        address = BrokerAddress(port=self.tls.port, tls=True)
        return PahoClient(address, client_id or name or "nobody", will, tls=lambda: context, **more)

    def enter(self, client: PahoClient, wait: bool = True) -> PahoClient:
        self._clients.append(client)
        client.start()
        if wait:
            self.wait(lambda: client.connected)
        return client

    def told(self, client: PahoClient, *filters: str) -> list[Received]:
        arrived: list[Received] = []
        for one in filters:
            client.subscribe(one, 1, arrived.append)
        return arrived

    def flushed(self, client: PahoClient, device: DeviceId) -> None:
        """Wait until everything that `client` has sent went through the broker."""
        mark = f"mark-{len(self.heard)}"
        assert client.publish(CONFIG_COMMAND.of(device, mark), b"x", 1)
        self.wait(lambda: any(one.topic.endswith(mark) for one in self.heard))

    def close(self) -> None:
        for client in self._clients:
            client.stop()
        self.broker.stop()


@pytest.fixture
def site(tmp_path: Path, free_port, wait_until) -> Iterator[Site]:
    site = Site(tmp_path, free_port, wait_until)
    yield site
    site.close()


def test_a_device_does_its_own_work_and_nothing_beside(site: Site) -> None:
    device = site.client(CAM, will=Will(PRESENCE.of(CAM), b"dead"))
    mine = site.told(device, ACK.of(CAM), f"kinflow/1/{CAM}/config-command/+")
    site.enter(device)
    allowed = [topic.of(CAM, "item") for topic in TOPICS if "agent" in topic.roles and topic.writer != "edge"]
    forbidden = [topic.of(other, "item") for topic in TOPICS for other in (OTHER, LIGHT, DeviceId("edge-2"))]
    forbidden += [
        ACK.of(CAM),
        DECLARATION.of(CAM),
        HEARTBEAT.of(CAM),
        SIGNAL_COMMAND.of(LIGHT),
        "kinflow",
        "other/x",
        f"kinflow/2/{CAM}/alarm",
    ]
    for name in [*forbidden, *allowed]:
        assert device.publish(name, b"x", 1)
        assert device.publish(name, b"x", 0)
    site.flushed(device, CAM)
    assert {one.topic for one in site.heard if not one.topic.rpartition("/")[2].startswith("mark")} == set(allowed)
    assert site.root.publish(ACK.of(CAM), b"ack", 0)
    site.wait(lambda: any(one.payload == b"ack" for one in mine))


def test_a_device_hears_nobody_else_whatever_it_subscribes_to(site: Site) -> None:
    for name in (OTHER, LIGHT):
        assert site.root.publish(PRESENCE.of(name), b"retained", 1, retained=True)
        assert site.root.publish(CONFIG_COMMAND.of(name, "update"), b"retained", 1, retained=True)
    spy = site.client(CAM)
    heard = site.told(spy, "#", "+/#", "$SYS/#", "$SYS/broker/clients/+", "kinflow/1/+/presence", ALARM.of(OTHER))
    heard_wide = site.told(spy, f"kinflow/1/{OTHER}/#", "kinflow/#", "+/+/+/+", "kinflow/1/+/config-command/+")
    site.enter(spy)
    for name in (OTHER, LIGHT):
        for topic in TOPICS:
            assert site.root.publish(topic.of(name, "item"), b"secret", 1)
    assert site.root.publish(ACK.of(CAM), b"mine", 0)
    site.wait(lambda: any(one.payload == b"mine" for one in heard))
    assert {one.topic for one in [*heard, *heard_wide]} == {ACK.of(CAM)}


def test_a_will_on_a_foreign_topic_is_never_published(site: Site) -> None:
    mortal = site.client(CAM, will=Will(PRESENCE.of(OTHER), b"buried alive"))
    site.enter(mortal)
    other = site.enter(site.client(OTHER, will=Will(PRESENCE.of(OTHER), b"dead")))
    site.broker.kick(CAM)
    site.broker.kick(OTHER)
    site.wait(lambda: any(one.payload == b"dead" for one in site.heard))
    assert not any(one.payload == b"buried alive" for one in site.heard)
    assert other is not mortal


def test_a_foreign_client_id_takes_nobodys_place(site: Site) -> None:
    changes: list[bool] = []
    other = site.client(OTHER)
    other.watch(changes.append)
    site.enter(other)
    thief = site.enter(site.client(CAM, client_id=OTHER))
    root_thief = site.enter(site.client(LIGHT, client_id="root"))
    for client, device in ((thief, CAM), (root_thief, LIGHT), (other, OTHER)):
        site.flushed(client, device)
    assert changes == [True]


def test_the_name_of_our_own_user_gives_no_power_by_certificate(site: Site) -> None:
    site.authority.issue("kinflow")
    pretender = site.client("kinflow")
    heard = site.told(pretender, "#")
    site.enter(pretender)
    assert pretender.publish(ALARM.of(CAM), b"x", 1)
    assert site.root.publish(ALARM.of(CAM), b"end", 1)
    site.wait(lambda: any(one.payload == b"end" for one in site.heard))
    assert [one.payload for one in site.heard] == [b"end"]
    assert heard == []


def test_the_other_edge_of_a_pair_may_acknowledge_and_command(site: Site) -> None:
    edge = site.client("edge-2")
    heard = site.told(edge, "kinflow/1/+/alarm")
    site.enter(edge)
    device = site.enter(site.client(CAM))
    assert device.publish(ALARM.of(CAM), b"fire", 1)
    site.wait(lambda: heard)
    assert edge.publish(ACK.of(CAM), b"ack", 0)
    assert edge.publish(OBSERVATION.of(CAM, "x"), b"made up", 1)
    assert edge.publish(SIGNAL_COMMAND.of(LIGHT), b"go", 0)
    site.wait(lambda: any(one.payload == b"go" for one in site.heard))
    assert not any(one.payload == b"made up" for one in site.heard)


def test_nobody_comes_in_without_a_certificate_of_this_authority(site: Site, tmp_path: Path) -> None:
    foreign = TestAuthority(tmp_path / "foreign")
    foreign.issue(CAM)
    site.authority.issue("late", valid=(-9 * DAY, -timedelta(hours=1)))
    site.authority.issue("early", valid=(timedelta(hours=1), DAY))
    for context in (
        foreign.context(CAM, ca=site.authority.ca),
        site.authority.context("late"),
        site.authority.context("early"),
        site.authority.context(None),
    ):
        refused = site.enter(site.client("x", context=context), wait=False)
        site.wait(lambda client=refused: client.error is not None)
        assert not refused.connected
    by_password = BrokerAddress(port=site.tls.port, tls=True, username="kinflow", password="a secret word")
    client = site.enter(PahoClient(by_password, "x", tls=lambda: site.authority.context(None)), wait=False)
    site.wait(lambda: client.error is not None)
    plain = site.enter(PahoClient(BrokerAddress(port=site.tls.port), "x"), wait=False)
    site.wait(lambda: plain.error is not None)
    assert not any(one.connected for one in (client, plain))


def test_a_broker_of_another_authority_is_refused(site: Site, tmp_path: Path) -> None:
    foreign = TestAuthority(tmp_path / "foreign")
    device = site.client(CAM, context=site.authority.context(CAM, ca=foreign.ca))
    site.enter(device, wait=False)
    site.wait(lambda: device.error is not None)
    assert "certificate" in str(device.error)
    assert not device.connected


def test_a_revoked_device_is_out_and_stays_out_even_with_a_session_to_resume(site: Site) -> None:
    context = site.authority.context(CAM)
    with _raw(site, context) as wire:
        wire.sendall(_connect_packet(b"x"))
        assert wire.recv(4)
        session = wire.session
    assert session is not None
    assert _let_in(site, context, session), "before it was revoked it could resume"
    device = site.enter(site.client(CAM, will=Will(PRESENCE.of(CAM), b"dead"), context=context))
    other = site.enter(site.client(OTHER))
    changes: list[bool] = []
    other.watch(changes.append)
    site.authority.revoke(CAM)
    del site.members[CAM]
    site.broker.reload()
    assert device.publish(ALARM.of(CAM), b"after", 1)  # connected still, and powerless already
    site.broker.kick(CAM)
    site.wait(lambda: not device.connected)
    site.wait(lambda: device.error is not None)
    assert not _let_in(site, context, session)
    site.flushed(other, OTHER)
    assert changes == []
    assert not device.connected
    assert not any(one.payload in (b"after", b"dead") for one in site.heard)


def test_who_joins_comes_in_after_a_reload_and_a_new_server_certificate_is_shown(site: Site) -> None:
    newcomer = DeviceId("cam-3")
    site.authority.issue(newcomer)
    site.authority.issue("server")
    site.members[newcomer] = "agent"
    site.broker.reload()
    device = site.enter(site.client(newcomer))
    site.flushed(device, newcomer)
    with _raw(site, site.authority.context(CAM)) as wire:
        shown = ssl.DER_cert_to_PEM_cert(wire.getpeercert(binary_form=True) or b"")
    assert shown == site.tls.certificate.read_text()


def test_a_list_of_revocations_that_can_not_be_read_changes_nothing(site: Site) -> None:
    site.authority.revoke(CAM)
    site.broker.reload()
    good = site.tls.crl.read_bytes()
    site.tls.crl.write_text("rubbish")
    with pytest.raises(BrokerTrustUnusable, match=r"crl\.pem"):
        site.broker.reload()
    revoked = site.enter(site.client(CAM), wait=False)
    site.wait(lambda: revoked.error is not None)
    assert not revoked.connected
    site.broker.stop()
    with pytest.raises(BrokerTrustUnusable):
        site.broker.start()
    site.tls.crl.write_bytes(good)
    site.broker.start()


def test_reloads_from_many_threads_all_hold(site: Site) -> None:
    names = [DeviceId(f"new-{number}") for number in range(8)]

    def join(name: DeviceId) -> None:
        site.authority.issue(name)
        site.members = {**site.members, name: "agent"}
        site.broker.reload()

    threads = [threading.Thread(target=join, args=(name,)) for name in names]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for name in names[::3]:
        site.flushed(site.enter(site.client(name)), name)


def test_a_flood_of_silent_connections_harms_nobody_who_is_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.broker.stop()
    monkeypatch.setattr(mosquitto, "MOST_CONNECTIONS", 30)
    monkeypatch.setattr(mosquitto, "SPARE_FILES", 10)
    site.broker.start()
    site.wait(lambda: site.root.connected)
    device = site.enter(site.client(CAM))
    changes: list[bool] = []
    device.watch(changes.append)
    site.broker.reload()  # from here on mosquitto has forgotten max_connections
    assert site.broker.pid is not None
    files = psutil.Process(site.broker.pid).num_fds
    flood = [socket.create_connection(("127.0.0.1", site.tls.port)) for _ in range(60)]
    site.wait(lambda: sum(_hung_up(one) for one in flood) >= 20)
    assert files() <= 40
    site.flushed(device, CAM)
    assert changes == []
    for one in flood:
        one.close()
    site.wait(lambda: files() < 20)
    site.enter(site.client(OTHER))


@pytest.mark.parametrize("qos", [0, 1])
def test_a_device_that_talks_to_itself_and_does_not_listen_cant_fill_the_memory(
    site: Site, monkeypatch: pytest.MonkeyPatch, qos: int
) -> None:
    """A stolen key is enough: a device hears its own presence, and so could make the broker keep all that it says."""
    site.broker.stop()
    monkeypatch.setattr(mosquitto, "MEMORY_LIMIT_BYTES", 48 * MIB)
    monkeypatch.setattr(mosquitto, "MAX_QUEUED_BYTES", 8 * MIB)
    site.broker.start()
    site.wait(lambda: site.root.connected)
    assert site.broker.pid is not None
    broker = psutil.Process(site.broker.pid)
    topic = PRESENCE.of(CAM).encode()
    head = len(topic).to_bytes(2) + topic
    said = head + (b"\x00\x01" if qos else b"") + b"x" * 60_000
    length = bytes([len(said) & 127 | 128, len(said) >> 7 & 127 | 128, len(said) >> 14])
    with _raw(site, site.authority.context(CAM)) as wire, suppress(OSError):
        wire.settimeout(5)
        wire.sendall(_connect_packet(b"x"))
        wire.sendall(bytes([0x82, len(head) + 3, 0, 1]) + head + bytes([qos]))
        for _ in range(2_000):
            wire.sendall(bytes([0x30 | qos << 1]) + length + said)
    assert broker.memory_info().rss < 96 * MIB
    site.flushed(site.enter(site.client(OTHER)), OTHER)


def test_a_message_larger_than_any_of_ours_ends_its_connection(site: Site) -> None:
    with _raw(site, site.authority.context(CAM)) as wire:
        wire.sendall(_connect_packet(b"x"))
        assert wire.recv(4)[:1] == b"\x20"
        with suppress(OSError):
            wire.sendall(b"\x30\xff\xff\xff\x7f")  # a quarter of a gigabyte is to come
        wire.settimeout(10)
        with suppress(ConnectionError):
            assert wire.recv(1) == b""
    site.flushed(site.enter(site.client(CAM)), CAM)


def test_files_are_for_their_owner_alone_and_the_log_is_bounded(site: Site, monkeypatch, tmp_path: Path) -> None:
    assert (tmp_path / "broker" / "mosquitto.acl").stat().st_mode & 0o077 == 0
    monkeypatch.setattr(mosquitto, "LOG_LIMIT_BYTES", 10)
    assert not site.broker.revive()
    assert (tmp_path / "broker" / "mosquitto.log").stat().st_size == 0
    site.broker.reload()
    assert site.broker.pid is not None
    assert psutil.Process(site.broker.pid).uids().real == os.getuid()


def test_amqtt_has_no_door_for_joined_devices_and_says_so(site: Site, tmp_path: Path, free_port) -> None:
    with pytest.raises(BrokerNotForJoined, match="amqtt"):
        start_broker("amqtt", tmp_path / "other", free_port(), "pw", site.tls)


def _raw(site: Site, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
    wire = socket.create_connection(("127.0.0.1", site.tls.port), timeout=5)
    try:
        return context.wrap_socket(wire, server_hostname="127.0.0.1", session=session)
    except OSError:
        wire.close()
        raise


def _let_in(site: Site, context: ssl.SSLContext, session: ssl.SSLSession) -> bool:
    try:
        with _raw(site, context, session) as wire:
            wire.sendall(_connect_packet(b"x"))
            return bool(wire.recv(4))
    except OSError:
        return False


def _connect_packet(client_id: bytes) -> bytes:
    body = b"\x00\x04MQTT\x04\x02\x00\x3c" + len(client_id).to_bytes(2) + client_id
    return bytes([0x10, len(body)]) + body


def _hung_up(wire: socket.socket) -> bool:
    wire.setblocking(False)
    try:
        return wire.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
