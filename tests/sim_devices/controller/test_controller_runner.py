"""Simulated controllers and the edge's signal service on one broker, in real time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_server.signals.fault import SignalFault
from edge_server.signals.junction import Record
from edge_server.signals.service import SignalService
from node.broker.memory import MemoryBroker
from node.clock import SystemClock
from node.identity import Identity
from node.link import Link, death_will
from node.outbox.outbox import Outbox
from protocol.codec import encode
from protocol.ids import DeviceId, IntersectionId
from protocol.messages import Birth, SignalCommand
from protocol.topics import HEARTBEAT, SIGNAL_COMMAND
from sim_devices.controller.epoch_file import EpochFile
from sim_devices.controller.runner import ControllerRunner
from sim_devices.errors import EpochFileUnreadable
from tests.edge_server.signals.signal_sites import crossing, site

NORTH, SOUTH = IntersectionId("north"), IntersectionId("south")
SITE = site(crossing("north"), crossing("south"))


def wait_for(condition: Callable[[], object], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


class Edge:
    def __init__(self, broker: MemoryBroker) -> None:
        self.identity = Identity(DeviceId("edge-a"), SystemClock())
        client = broker.client("edge-a", death_will(self.identity))
        outbox = Outbox(self.identity.boot, SystemClock(), store=None)
        self.link = Link(self.identity, client, outbox, birth=self._birth)
        self.records: list[Record] = []
        self.faults: list[SignalFault] = []
        self.commands: list[SignalCommand] = []
        self.service = SignalService(
            SITE,
            self.identity,
            lambda device, command: self.link.send_live(SIGNAL_COMMAND, device, command),
            record=self.records.append,
            report=self.faults.append,
            commanded=self.commands.append,
        )
        clock = SystemClock()
        self.link.subscribe(HEARTBEAT, None, lambda _, said, __: self.service.hear(said, clock.monotonic_ms()))
        self.link.start()
        self.service.start()

    def stop(self) -> None:
        self.service.stop()
        self.link.stop()

    def _birth(self) -> Birth:
        return Birth(**self.identity.live(), role="edge", software="test")


@pytest.fixture
def broker() -> Iterator[MemoryBroker]:
    broker = MemoryBroker()
    broker.start()
    yield broker
    broker.stop()


def runner(broker: MemoryBroker, folder: Path, commands: list[tuple[SignalCommand, int]]) -> ControllerRunner:
    return ControllerRunner(
        SITE,
        lambda identity: broker.client(identity.device, death_will(identity)),
        SystemClock(),
        folder,
        on_command=lambda command, received_ms: commands.append((command, received_ms)),
    )


def test_the_edge_steers_and_hands_back_and_epochs_outlive_the_controllers(broker, tmp_path):
    commands: list[tuple[SignalCommand, int]] = []
    controllers = runner(broker, tmp_path, commands)
    edge = Edge(broker)
    controllers.start()
    try:
        for place in (NORTH, SOUTH):
            controller = controllers.controllers[place]
            wait_for(lambda controller=controller: controller.control == "edge")
            assert set(controllers.aspects(place)) == {2, 4, 6, 8, 12, 14}
        assert {command.intersection for command, _ in commands} == {NORTH, SOUTH}
        assert all(received_ms > 1_600_000_000_000 for _, received_ms in commands)
        edge.stop()
        for place in (NORTH, SOUTH):
            controller = controllers.controllers[place]
            wait_for(lambda controller=controller: controller.control == "local")
    finally:
        edge.stop()
        controllers.stop()
    for place in (NORTH, SOUTH):
        assert EpochFile(tmp_path / f"controller-{place}.epoch").read() >= 1


def test_a_command_that_a_broker_retained_is_not_even_looked_at(broker, tmp_path):
    commands: list[tuple[SignalCommand, int]] = []
    stranger = broker.client("stranger")
    stranger.start()
    wait_for(lambda: stranger.connected)
    topic = SIGNAL_COMMAND.of(DeviceId("controller-north"))
    assert stranger.publish(topic, encode(command("retained")), 0, retained=True)
    controllers = runner(broker, tmp_path, commands)
    controllers.start()
    try:
        wait_for(lambda: stranger.publish(topic, encode(command("live")), 0) and commands)
        assert {one.reason for one, _ in commands} == {"live"}
    finally:
        controllers.stop()
        stranger.stop()


def command(reason: str) -> SignalCommand:
    return SignalCommand(
        **Identity(DeviceId("edge-a"), SystemClock()).live(),
        intersection=NORTH,
        phases=(2, 6),
        heartbeat=1,
        heartbeat_boot="0" * 16,
        lease_ms=1_000,
        epoch=9,
        controller="test",
        reason=reason,
    )


def test_an_epoch_file_that_is_no_number_is_an_error_of_its_own(tmp_path):
    path = tmp_path / "one.epoch"
    assert EpochFile(path).read() == 0
    EpochFile(path).write(7)
    assert EpochFile(path).read() == 7
    path.write_bytes(b"\xff\xfe seven")
    with pytest.raises(EpochFileUnreadable) as caught:
        EpochFile(path).read()
    assert caught.value.code == "KF100"
