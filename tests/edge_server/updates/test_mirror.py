"""The mirror and its routes, end to end: a maintainer, an edge that mirrors, and a device that verifies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from edge_server.errors import DeviceNotAsked, RolloutRefused
from edge_server.fleet.device import Device
from edge_server.gateway.app import Gateway
from edge_server.gateway.server import GatewayServer
from edge_server.updates.mirror import Mirror
from edge_server.updates.rollout_store import RolloutStore
from edge_server.updates.service import UpdateService
from edge_server.updates.serving import Throttle
from node.clock import ManualClock
from node.errors import BundleDamaged, UpdateUntrusted
from node.identity import Identity
from node.update.source import FolderSource, HttpSource
from node.update.targets import Targets
from protocol.ids import BootId, DeviceId, MessageId, new_message_id
from protocol.messages import ConfigCommand
from tests.edge_server.gateway.demo_edge import TOKEN, DemoEdge
from tests.node.update.conftest import Maintainer

BEARER = {"Authorization": f"Bearer {TOKEN}"}


def device(name: str, software: str = "kinflow 1.0", **more: object) -> Device:
    state = more.pop("state", "online")
    return Device(device=DeviceId(name), boot=BootId("0" * 16), role="agent", state=state, software=software, **more)


class Edge:
    """An edge server's updates: the real mirror, store and service, and devices that note what they are asked."""

    def __init__(self, folder: Path, maintainer: Maintainer) -> None:
        self.folder, self.maintainer = folder, maintainer
        self.devices: dict[DeviceId, Device] = {DeviceId(f"pi-{n}"): device(f"pi-{n}") for n in range(3)}
        self.asked: dict[DeviceId, MessageId] = {}
        self.broker_is_up = True
        self.told: list[str] = []
        self.clock = ManualClock()
        self.mirror = Mirror(folder / "mirror", self.opened)
        self.service = self.open()

    def opened(self) -> Targets:
        return Targets(self.folder / "trusted", FolderSource(self.maintainer.public), self.maintainer.root)

    def open(self) -> UpdateService:
        return UpdateService(
            RolloutStore(self.folder / "rollout.db"),
            self.mirror,
            lambda: self.mirror.sync(self.folder / "trusted"),
            lambda: self.devices,
            self.ask,
            self.clock,
            lambda text, bad: self.told.append(text),
        )

    def ask(self, name: DeviceId, what: str, arguments: Mapping[str, str]) -> MessageId:
        assert (what, arguments) == ("update", {"version": "1.1"})
        if not self.broker_is_up:
            raise DeviceNotAsked(device=name)
        self.asked[name] = new_message_id(0)
        return self.asked[name]

    def answer(self, name: DeviceId, status: str = "successful", reason: str = "") -> None:
        said = ConfigCommand(
            **Identity(name, self.clock).live(),
            command=self.asked[name],
            device=name,
            name="update",
            status=status,
            reason=reason,
        )
        if status == "successful":
            self.devices[name] = device(name, "kinflow 1.1")
        self.service.heard(said)
        self.service.turn()


@pytest.fixture
def maintainer(tmp_path: Path) -> Maintainer:
    maintainer = Maintainer(tmp_path / "repository")
    maintainer.release("1.1", {"wheels/a.whl": bytes(range(256)) * 1_000})
    return maintainer


@pytest.fixture
def edge(tmp_path: Path, maintainer: Maintainer) -> Iterator[Edge]:
    edge = Edge(tmp_path / "edge", maintainer)
    yield edge
    edge.service.stop()


@pytest.fixture
def gateway(tmp_path: Path, edge: Edge) -> Iterator[str]:
    demo = DemoEdge(tmp_path / "demo")
    object.__setattr__(demo.context, "updates", edge.service)
    server = GatewayServer(Gateway(demo.context), port=0)
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()
    demo.close()


def test_a_device_verifies_what_the_mirror_hands_on(tmp_path: Path, edge: Edge, gateway: str) -> None:
    assert edge.mirror.channel() is None
    edge.mirror.sync(edge.folder / "trusted")
    assert edge.mirror.archs("1.1") == ("x86_64",)
    seen = Targets(tmp_path / "device", HttpSource(f"{gateway}/updates/"), edge.maintainer.root)
    assert seen.refresh().version == "1.1"
    found = seen.find("kinflow/1.1/x86_64.tar")
    assert found is not None
    whole = seen.download(found, tmp_path / "got.tar").read_bytes()
    # A download that was cut off goes on by a range.
    (tmp_path / "again.tar.part").write_bytes(whole[:100_000])
    assert seen.download(found, tmp_path / "again.tar").read_bytes() == whole


def test_a_mirror_that_cheats_is_found_out(tmp_path: Path, edge: Edge, gateway: str) -> None:
    edge.mirror.sync(edge.folder / "trusted")
    (file,) = (edge.mirror.folder / "targets" / "kinflow" / "1.1").iterdir()
    data = bytearray(file.read_bytes())
    data[1000] ^= 1
    file.write_bytes(data)
    seen = Targets(tmp_path / "device", HttpSource(f"{gateway}/updates/"), edge.maintainer.root)
    seen.refresh()
    found = seen.find("kinflow/1.1/x86_64.tar")
    assert found is not None
    with pytest.raises(BundleDamaged):
        seen.download(found, tmp_path / "got.tar")
    timestamp = edge.mirror.folder / "metadata" / "timestamp.json"
    timestamp.write_text(timestamp.read_text().replace('"version":', '"version": 1'))
    with pytest.raises(UpdateUntrusted):
        Targets(tmp_path / "other", HttpSource(f"{gateway}/updates/"), edge.maintainer.root).refresh()


def test_the_mirror_serves_nothing_else(edge: Edge, gateway: str) -> None:
    edge.mirror.sync(edge.folder / "trusted")
    with httpx.Client(base_url=gateway, trust_env=False) as client:
        for path in ("../channel.json", "..%2fchannel.json", "%2e%2e/channel.json", "/etc/passwd", "nothing.json"):
            assert client.get(f"/updates/metadata/{path}").status_code in {401, 404}
            assert client.get(f"/updates/targets/{path}").status_code in {401, 404}
        assert client.get("/updates/metadata/timestamp.json").status_code == 200
        past = client.get("/updates/metadata/timestamp.json", headers={"Range": "bytes=999999-"})
        assert past.status_code == 416
        assert client.get("/api/v1/updates").status_code == 401


def test_an_old_release_leaves_the_mirror_when_a_new_one_comes(edge: Edge) -> None:
    edge.mirror.sync(edge.folder / "trusted")
    edge.maintainer.release("1.2")
    edge.mirror.sync(edge.folder / "trusted")
    assert edge.mirror.archs("1.1") == ()
    assert edge.mirror.archs("1.2") == ("x86_64",)


def test_people_begin_pause_and_abort_over_http(edge: Edge, gateway: str) -> None:
    edge.mirror.sync(edge.folder / "trusted")
    with httpx.Client(base_url=gateway, headers=BEARER, trust_env=False) as client:
        assert client.post("/api/v1/updates/rollout", json={"version": "9.9"}).status_code == 409
        begun = client.post("/api/v1/updates/rollout", json={})
        assert begun.status_code == 201
        assert begun.json()["rollout"]["status"] == "running"
        assert client.post("/api/v1/updates/rollout", json={}).json()["error"]["code"] == "KF215"
        edge.service.turn()
        paused = client.post("/api/v1/updates/rollout/action", json={"action": "pause"}).json()
        assert [one["state"] for one in paused["devices"]].count("asked") == 1
        assert client.post("/api/v1/updates/rollout/action", json={"action": "abort"}).status_code == 200
        assert client.post("/api/v1/updates/rollout/action", json={"action": "resume"}).status_code == 409
        assert client.post("/api/v1/updates/rollout/action", json={"action": "explode"}).status_code == 422


def test_a_rollout_goes_stage_by_stage_and_survives_a_restart(edge: Edge) -> None:
    with pytest.raises(RolloutRefused):
        edge.service.begin(None, "ada")
    edge.mirror.sync(edge.folder / "trusted")
    edge.service.begin(None, "ada")
    edge.broker_is_up = False
    edge.service.turn()
    assert edge.asked == {}
    edge.broker_is_up = True
    edge.service.turn()
    (first,) = edge.asked
    edge.service.stop()
    edge.service = edge.open()
    edge.service.turn()
    assert list(edge.asked) == [first]
    edge.answer(first)
    for name in list(edge.devices):
        if name in edge.asked and name != first:
            edge.answer(name)
    edge.service.turn()
    for name in list(edge.devices):
        if name in edge.asked and edge.devices[name].software != "kinflow 1.1":
            edge.answer(name)
    edge.service.turn()
    assert edge.service.rollout is not None
    assert edge.service.rollout.status == "done"
    assert set(edge.asked) == set(edge.devices)


def test_a_failure_pauses_it_and_its_reason_is_told(edge: Edge) -> None:
    edge.mirror.sync(edge.folder / "trusted")
    edge.service.begin(None, "ada")
    edge.service.turn()
    (first,) = edge.asked
    edge.answer(first, "failed", "camera-lost: the camera cam-1 is stalled")
    assert edge.service.rollout is not None
    assert edge.service.rollout.status == "paused"
    assert edge.service.rollout.members[first].code == "camera-lost"
    assert any("camera-lost" in text for text in edge.told)
    assert set(edge.asked) == {first}


@pytest.mark.asyncio
async def test_all_downloads_together_keep_to_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("edge_server.updates.serving.asyncio.sleep", sleep)
    throttle = Throttle(1_000_000)
    for _ in range(5):
        await throttle.take(500_000)
    assert slept[-1] > 1.9
    await Throttle(0).take(10**9)


def test_simulated_devices_and_other_roles_are_left_out(edge: Edge) -> None:
    edge.devices[DeviceId("sim")] = device("sim", simulated=True)
    edge.devices[DeviceId("odd")] = device("odd", "something else")
    seen = edge.service.versions()
    assert DeviceId("sim") not in seen
    assert seen[DeviceId("odd")].version is None
