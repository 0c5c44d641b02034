"""A site on its network: everybody joins by TLS, and no message is lost when cables are pulled.

Run: pytest -m slow tests/network
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.network.installed import until
from tests.network.lab import Network
from tests.network.site import CLOUD, Site

CUT_S = 15.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def site(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(network, tmp_path_factory.mktemp("site"))
    made.cloud.start("cloud", "run", "--host", CLOUD)
    code = until("a cloud's code", lambda: made.cloud.ask("cloud", "code")["code"])
    until("the cloud", lambda: "the cloud runs" in made.cloud.said())
    made.edge.cli("edge", "join-cloud", code, "--cloud", CLOUD)
    made.edge.run()
    made.join_all()
    made.watch_all()
    yield made
    made.stop()


def test_everybody_joins_and_is_heard(site: Site) -> None:
    names = set(site.devices)
    until("observations of all", lambda: _sources(site, "observations") >= names)
    until("health of all", lambda: _sources(site, "health") >= names)
    until("unbroken accounts", lambda: site.edge.unbroken(*names))
    members = site.edge.ask("edge", "devices")["joined"]
    asked_from = {one["device"]: one["address"] for one in members if one["state"] == "joined"}
    assert asked_from == {name: device.machine.address for name, device in site.devices.items()}

    def reported() -> bool:
        (edge,) = site.cloud.ask("cloud", "edges")["edges"]
        return edge["edge"] == "edge-1" and edge["state"] == "reporting" and edge["devices_online"] == 3

    until("the edge server in the cloud's list, with three devices", reported)


@pytest.mark.parametrize("pulled", [["cam-1"], ["cam-1", "cam-2", "cam-3"], ["edge-1"]], ids=["one", "all", "edge"])
def test_a_cable_that_was_pulled_costs_no_message(site: Site, pulled: list[str]) -> None:
    machines = {name: device.machine for name, device in site.devices.items()} | {"edge-1": site.edge.machine}
    away = set(site.devices) & set(pulled) or set(site.devices)
    runs = {name: [boot for boot, *_ in site.edge.accounts(name)] for name in site.devices}
    for name in pulled:
        machines[name].pull()
    cut_ms = time.time() * 1000
    time.sleep(CUT_S)
    healed_ms = time.time() * 1000
    for name in pulled:
        machines[name].plug()
    until("all devices online", lambda: site.edge.online() >= set(site.devices))

    for name, device in site.devices.items():
        # Numbers are given out in the order of time: once a later one is here and none is missing, all are.
        until(f"news of {name}", lambda name=name: _observed(site, name, healed_ms, healed_ms + 600_000))
        until(f"an unbroken account of {name}", lambda name=name: site.edge.unbroken(name))
        assert [boot for boot, *_ in site.edge.accounts(name)] == runs[name], "it was started anew"
        meanwhile = _observed(site, name, cut_ms + 1000, healed_ms - 1000)
        came_late = [seq for seq, received_ms in meanwhile if received_ms > healed_ms]
        print(f"\n{pulled} pulled: {name} observed {len(meanwhile)} times meanwhile, {len(came_late)} came afterwards")
        assert meanwhile
        assert len({seq for seq, _ in meanwhile}) == len(meanwhile), "a number is stored twice"
        assert len(came_late) == (len(meanwhile) if name in away else 0), "the cable was not what it spoke by"
        assert device.alive()
    assert site.edge.rows("SELECT count(*) FROM gaps") == [(0,)]


def _observed(site: Site, name: str, since_ms: float, until_ms: float) -> list[tuple[int, int]]:
    """(number, when it was received) of what a device saw within that time."""
    return site.edge.rows(
        "SELECT seq, received_ms FROM observations WHERE source = ? AND captured_ms BETWEEN ? AND ?",
        name,
        since_ms,
        until_ms,
    )


def _sources(site: Site, table: str) -> set[str]:
    return {source for (source,) in site.edge.rows(f"SELECT DISTINCT source FROM {table}")}
