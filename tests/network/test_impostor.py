"""Others on the network who call themselves the edge server: devices say nothing to them, and come back to their own.

Run: pytest -m slow tests/network
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.network.installed import Camera, Edge, Installed, until
from tests.network.site import EDGE, Site

POSING_S = 15.0
# TLS tells nobody these; MQTT and HTTP would.
TOLD_IN_PLAIN = (b"kinflow", b"cam-1", b"cam-2", b"cam-3", b"edge-1", b"observation", b"trust", b"MQTT", b"HTTP")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Posing:
    """The impostor at work. root: what he shows for his root certificate; None: his own."""

    def __init__(self, site: Site, address: str, root: Path | None = None, *, advertised: bool = False) -> None:
        self._installed = Installed(site.attacker, site.folder / f"impostor-{time.monotonic_ns()}")
        home = self._installed.home
        (home / "authority").mkdir()
        shown = home / "shown.pem"
        if root is None:
            # He has one only once he has begun.
            shown.symlink_to(home / "authority/ca.pem")
        else:
            shutil.copy(root, shown)
        self._process = self._installed.program_that_runs(
            "posing", address, str(home), str(shown), "1" if advertised else "0"
        )
        until("the impostor", lambda: (home / "ready").exists() or self._process.poll() is not None)
        assert self._process.poll() is None, self._installed.said()

    def heard(self) -> list[dict[str, Any]]:
        path = self._installed.home / "heard.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def test_a_second_edge_server_of_the_same_name_gets_nobody(site: Site) -> None:
    """A real one, with an authority of its own, which advertises itself as the first one does."""
    second = Edge(site.attacker, site.folder / "second", "edge-1").run()
    try:
        before = second.rows("SELECT count(*) FROM audit", store="authority/authority.db")
        new = Camera(site.devices["cam-3"].machine, site.folder / "cam-4", "cam-4")
        done = new.join(site.edge.code("--approved"))  # without an address: by mDNS, where both answer by one name
        assert done.returncode == 0, done.stderr
        device = site.devices["cam-2"]
        device.stop()
        until("its good-bye", lambda: device.name not in site.edge.online())
        device.watch()
        until("all devices back", lambda: site.edge.online() >= set(site.devices))
        joined = {one["device"] for one in site.edge.ask("edge", "devices")["joined"]}
        assert joined == {*site.devices, "cam-4"}
        assert second.rows("SELECT count(*) FROM devices") == [(0,)]
        assert second.rows("SELECT count(*) FROM received WHERE source LIKE 'cam-%'") == [(0,)]
        assert second.rows("SELECT count(*) FROM audit", store="authority/authority.db") == before
        assert not second.connections()
    finally:
        second.stop()


def test_who_takes_the_edge_servers_address_is_told_nothing(site: Site) -> None:
    site.edge.machine.pull()
    cut_ms = time.time() * 1000
    site.attacker.take(EDGE)
    posing = Posing(site, EDGE)
    try:
        # One that begins anew meanwhile has nothing to go by but its address.
        site.devices["cam-2"].stop()
        site.devices["cam-2"].watch()
        addresses = {device.machine.address for device in site.devices.values()}
        until("every device at the false broker", lambda: {one["from"] for one in _at(posing, 8883)} == addresses)
        until("a device at the false page", lambda: _at(posing, 8800))
        time.sleep(POSING_S)
    finally:
        posing.stop()
        site.attacker.drop(EDGE)
        healed_ms, healed_s = time.time() * 1000, time.monotonic()
        site.edge.machine.plug()
    heard = posing.heard()
    _told_nothing(heard)
    assert not any(one["plain"] for one in heard)
    until("all devices back", lambda: all(_came_after(site, name, healed_ms) for name in site.devices))
    print(
        f"\nthe impostor heard {len(heard)} connections, {sum(len(one['raw']) for one in heard) // 2} bytes of TLS"
        f" handshakes and nothing in plain; all were back {time.monotonic() - healed_s:.1f} s after he had gone"
    )
    until("unbroken accounts", lambda: site.edge.unbroken(*site.devices))
    for name in site.devices:
        ((meanwhile,),) = site.edge.rows(
            "SELECT count(*) FROM observations WHERE source = ? AND captured_ms BETWEEN ? AND ?",
            name,
            cut_ms + 1000,
            healed_ms,
        )
        assert meanwhile > 0


@pytest.mark.parametrize("root", ["his own", "the real one"])
def test_who_poses_by_mdns_learns_no_code(site: Site, root: str) -> None:
    """The root itself is no secret, so he may show that too: he lacks its key."""
    code = site.edge.code("--approved")
    site.edge.machine.pull()
    posing = Posing(
        site,
        site.attacker.address,
        None if root == "his own" else site.edge.home / "authority/ca.pem",
        advertised=True,
    )
    name = "cam-5" if root == "his own" else "cam-6"
    device = Camera(site.devices["cam-3"].machine, site.folder / name, name)
    try:
        found = device.join(code)
        named = device.join(code, edge=site.attacker.address)
    finally:
        posing.stop()
        site.edge.machine.plug()
    assert found.returncode != 0
    assert named.returncode != 0
    assert "KF163" in found.stderr
    assert ("KF161" if root == "his own" else "KF163") in named.stderr
    heard = posing.heard()
    _told_nothing([one | {"plain": ""} for one in heard])
    asked = [one["plain"] for one in heard if one["plain"]]
    assert asked, "nobody came to him"
    assert all(one.startswith("GET /api/v1/trust/ca HTTP/1.1") for one in asked)
    assert not any(code in one or code.replace("-", "") in one for one in asked)
    assert not (device.home / "trust").exists()
    # The code was not spent: with the real one back it is good.
    until("the real edge server", lambda: device.join(code, edge=EDGE).returncode == 0)


def _at(posing: Posing, port: int) -> list[dict[str, Any]]:
    return [one for one in posing.heard() if one["port"] == port]


def _told_nothing(heard: list[dict[str, Any]]) -> None:
    """No certificate, no byte that could be read, and on the plain port nobody at all."""
    for one in heard:
        assert not one["certificate"]
        assert one["port"] != 1883
        raw = bytes.fromhex(one["raw"])
        assert raw[:1] in (b"", b"\x16")
        for told in TOLD_IN_PLAIN:
            assert told not in raw


def _came_after(site: Site, name: str, moment_ms: float) -> bool:
    rows = site.edge.rows("SELECT 1 FROM observations WHERE source = ? AND captured_ms > ? LIMIT 1", name, moment_ms)
    return bool(rows)
