"""From the edge server's rollout to a device that runs the new version: a real device, and the real edge server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.update import PATCHES
from benchmarks.update_world import Device, Maintainer
from edge_server.server import EdgeOptions, EdgeServer
from node.broker.host import start_broker
from node.broker.port import BrokerAddress
from node.ports import any_free_port
from protocol.ids import DeviceId, SiteId
from protocol.site import Site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
NAME = DeviceId("bench-device")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerAddress]:
    host = start_broker("auto", tmp_path / "broker", any_free_port(), "rollout-password")
    yield host.address
    host.stop()


@pytest.fixture
def maintainer(tmp_path: Path) -> Maintainer:
    return Maintainer(tmp_path)


@pytest.fixture
def edge(tmp_path: Path, broker: BrokerAddress, maintainer: Maintainer) -> Iterator[EdgeServer]:
    home = tmp_path / "edge"
    (home / "update").mkdir(parents=True)
    (home / "update" / "root.json").write_bytes(maintainer.root)
    options = EdgeOptions(
        home=home,
        database=home / "edge.db",
        device=DeviceId("edge-1"),
        version="1",
        site=Site(id=SiteId("site")),
        port=any_free_port(),
        broker=broker,
        update_source=str(maintainer.public),
    )
    server = EdgeServer(options)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def device(tmp_path: Path, broker: BrokerAddress, maintainer: Maintainer, edge: EdgeServer) -> Iterator[Device]:
    device = Device(tmp_path / "device", broker)
    try:
        device.install(maintainer.bundle("1.0"), maintainer.root)
        device.set_source(f"http://127.0.0.1:{edge.context.port}/updates/")
        device.watches_wishes = True
        device.start_agent()
        assert device.comes_up() is not None, device.log_tail()
        yield device
    finally:
        device.stop()


def until(device: Device, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline, device.log_tail()
        device.turn()
        time.sleep(0.05)


def mirrored(edge: EdgeServer, version: str) -> Callable[[], bool]:
    def look() -> bool:
        updates = edge.context.updates
        assert updates is not None
        updates.sync_soon()
        channel = updates.mirror.channel()
        return channel is not None and channel.version == version and NAME in updates.versions()

    return look


def test_a_good_version_arrives_and_a_bad_one_comes_back_with_its_reason(
    maintainer: Maintainer, edge: EdgeServer, device: Device
) -> None:
    updates = edge.context.updates
    assert updates is not None
    maintainer.release("1.1")
    until(device, mirrored(edge, "1.1"))
    updates.begin("1.1", "ada")
    until(device, lambda: updates.rollout is not None and updates.rollout.status != "running")
    assert updates.rollout is not None
    assert updates.rollout.status == "done", updates.rollout
    assert device.places.in_use() == "1.1"
    until(device, lambda: updates.versions()[NAME].version == "1.1")

    maintainer.release("1.2", PATCHES["camera"])
    until(device, mirrored(edge, "1.2"))
    updates.begin("1.2", "ada")
    until(device, lambda: updates.rollout is not None and updates.rollout.status != "running")
    assert updates.rollout.status == "paused"
    assert updates.rollout.members[NAME].code == "camera-lost"
    assert device.places.in_use() == "1.1"
