"""`kinflow edge controller` as real processes: a real broker, SNMPv3 over UDP, and a gateway that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from click.testing import Result
from typer.testing import CliRunner

from edge_server.cabinet.cli import app
from edge_server.cabinet.ntcip import objects
from edge_server.cabinet.ntcip.security import key_path
from edge_server.errors import CabinetBackupUnusable, CabinetMismatch, CabinetRefused, CabinetSecurityWeak
from edge_server.signals.service import SignalService
from node.broker.address import format_broker
from node.broker.mosquitto import MosquittoBroker, find_mosquitto
from node.broker.paho_client import PahoClient
from node.clock import SystemClock
from node.identity import Identity
from node.link import Link, death_will
from node.outbox.outbox import Outbox
from protocol.ids import DeviceId
from protocol.messages import Birth, Heartbeat
from protocol.site import Site
from protocol.topics import HEARTBEAT, SIGNAL_COMMAND
from sim_devices.city.site import write_site
from sim_devices.ntcip.agent import SimulatedNtcipController
from sim_devices.ntcip.card import Card
from tests.edge_server.signals.signal_sites import site
from tests.sim_devices.cabinet.benches import SECURITY, USER, ntcip_crossing
from tests.sim_devices.cabinet.wire import until

KINFLOW = [sys.executable, "-c", "from kinflow.main import main; main()", "edge", "controller"]
BACKUP_S = 4


@dataclass
class Place:
    """A state folder with a site file and keys, and a simulated controller that runs in real time."""

    home: Path
    repository: Path
    agent: SimulatedNtcipController
    site: Site
    broker: MosquittoBroker | None = None
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def write(self, **described: object) -> None:
        intersection = ntcip_crossing(address=f"127.0.0.1:{self.agent.port}", **described)
        self.site = site(intersection)
        write_site(self.site, self.home / "site.toml")

    def keys(self, authentication: str = USER.authentication_key) -> None:
        path = key_path(self.home, self.site.intersections[0].id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_text(f'authentication = "{authentication}"\nprivacy = "{USER.privacy_key}"\n')

    def ask(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--home", str(self.home)])

    def gateway(self) -> subprocess.Popen[bytes]:
        assert self.broker is not None
        url = format_broker(self.broker.address, with_password=True)
        environment = {**os.environ, "KINFLOW_HOME": str(self.home), "KINFLOW_BROKER_URL": url}
        with (self.home / "gateway.log").open("ab") as log:
            one = subprocess.Popen([*KINFLOW, "run"], cwd=self.repository, env=environment, stderr=log)
        self.processes.append(one)
        return one


@pytest.fixture
def place(tmp_path: Path, repository: Path) -> Iterator[Place]:
    intersection = ntcip_crossing()
    assert intersection.cabinet is not None
    agent = SimulatedNtcipController(
        Card.of(intersection, intersection.cabinet, BACKUP_S), SECURITY, USER, SystemClock()
    )
    place = Place(tmp_path / "home", repository, agent, site(intersection))
    place.home.mkdir()
    place.write()
    place.keys()
    yield place
    for one in place.processes:
        if one.poll() is None:
            one.kill()
            one.wait()
    agent.stop()


def test_check_tells_what_a_controller_is_and_writes_nothing(place):
    done = place.ask("check", "north", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["ok"], told["acts"], told["controller"]["unitBackupTime_s"]) == (True, True, BACKUP_S)
    place.agent.spoil("no-backup")
    done = place.ask("check", "north")
    assert isinstance(done.exception, CabinetBackupUnusable)
    assert "Nothing was written." in done.stdout
    place.keys("a key that is another")
    done = place.ask("check", "north")
    assert isinstance(done.exception, CabinetRefused)
    assert "a key that is another" not in f"{done.exception}{done.output}"
    assert place.agent.state.system_ms is None


def test_check_names_a_controller_that_does_not_fit(place):
    place.write(phases=((12, 2), (14, 4), (8, 7)))
    done = place.ask("check", "north")
    assert isinstance(done.exception, CabinetMismatch)
    assert "fault phase 8 (7 in the controller): it is not enabled in the controller" in done.stdout


def test_watch_prints_what_changes(place):
    done = place.ask("watch", "north", "--json", "--seconds", "0.5")
    assert done.exit_code == 0, done.output
    first = json.loads(done.stdout.splitlines()[0])
    assert set(first["phases"]) == {"2", "4", "6", "8", "12", "14"}
    assert (first["flash"], first["unfit"]) == (None, None)


def test_what_is_weak_is_refused_and_when_forced_is_said_loudly(place):
    place.write(privacy="none")
    assert isinstance(place.ask("check", "north").exception, CabinetSecurityWeak)
    place.write(privacy="none", insecure=True)
    done = place.ask("check", "north")
    assert isinstance(done.exception, CabinetRefused)
    assert "INSECURE" in done.stderr


def test_an_intersection_without_a_cabinet_is_named(place):
    bare = msgspec.structs.replace(place.site.intersections[0], cabinet=None)
    write_site(site(bare), place.home / "site.toml")
    done = place.ask("check", "north")
    assert done.exit_code == 2
    assert "no cabinet" in " ".join(done.stderr.replace("│", " ").split())


class Edge:
    """The edge's own signal service on the broker."""

    def __init__(self, broker: MosquittoBroker, site: Site) -> None:
        identity = Identity(DeviceId("edge-a"), SystemClock())
        self.heard: list[Heartbeat] = []
        self.link = Link(
            identity,
            PahoClient(broker.address, "edge-a", death_will(identity)),
            Outbox(identity.boot, identity.clock, store=None),
            birth=lambda: Birth(**identity.live(), role="edge", software="test"),
        )
        self.service = SignalService(
            site,
            identity,
            lambda device, command: self.link.send_live(SIGNAL_COMMAND, device, command),
            record=lambda _: None,
            report=lambda _: None,
            commanded=lambda _: None,
        )
        self.link.subscribe(HEARTBEAT, None, self._hear)
        self.link.start()
        self.service.start()

    def _hear(self, _address: object, said: Heartbeat, _retained: bool) -> None:
        self.heard.append(said)
        self.service.hear(said, SystemClock().monotonic_ms())

    def stop(self) -> None:
        self.service.stop()
        self.link.stop()


@pytest.mark.skipif(find_mosquitto() is None, reason="needs mosquitto")
def test_a_gateway_that_is_killed_leaves_the_controller_to_itself(place, tmp_path, free_tcp_port):
    broker = MosquittoBroker(tmp_path / "broker", free_tcp_port, "a word of its own")
    broker.start()
    place.broker = broker
    edge = Edge(broker, place.site)
    try:
        gateway = place.gateway()
        until(lambda: True if edge.heard and edge.heard[-1].control == "edge" else None, 40)
        until(lambda: True if place.agent.state.columns.get(objects.HOLD) else None, 10)
        os.kill(gateway.pid, signal.SIGKILL)
        gateway.wait()
        until(lambda: True if place.agent.state.backup else None, 20)
        assert not any(place.agent.state.columns.values())
        place.gateway()
        until(lambda: True if place.agent.state.columns.get(objects.HOLD) else None, 40)
        second = place.processes[-1]
        second.send_signal(signal.SIGTERM)
        assert second.wait(30) == 0
        assert not any(place.agent.state.columns.values()), "it let the controller go"
        assert place.agent.state.pattern == 0
        log = (place.home / "gateway.log").read_text()
        assert USER.authentication_key not in log
        assert USER.privacy_key not in log
        assert place.agent.state.flash is None
    finally:
        edge.stop()
        broker.stop()
