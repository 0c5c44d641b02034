"""A device that was put out is out: how soon, and whatever it tries.

Run: pytest -m slow tests/network
"""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

import pytest

from tests.network.installed import Camera, until
from tests.network.site import EDGE, Site

ROUNDS = 2
# What is in the broker's and the edge server's hands when the connection ends may still reach the store.
ON_ITS_WAY_MS = 2_000
AFTERWARDS_S = 15.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def let_in_again(site: Site, *devices: Camera) -> None:
    for device in devices:
        device.stop()
        done = device.join(site.edge.code("--approved"), edge=EDGE)
        assert done.returncode == 0, done.stderr
        device.watch()
    until("the devices back", lambda: site.edge.online() >= {device.name for device in devices})


@dataclass(frozen=True)
class PutOut:
    """When, in seconds of the wall clock: the command was entered, the records were written, the connection that stood
    was no more, a signed request was refused."""

    entered: float
    written: float
    gone: float
    refused: float


def put_out(site: Site, device: Camera) -> PutOut:
    (standing,) = until("its connection", lambda: site.edge.connections(device.machine.address))
    with ThreadPoolExecutor(2) as pool:
        asking = pool.submit(device.program, "holding", "renew", str(device.home))
        time.sleep(3.0)  # it asks by now, most likely; whether it does is looked at below
        entered = time.time()
        command = pool.submit(site.edge.cli, "edge", "revoke", device.name)
        while standing in site.edge.connections(device.machine.address):
            assert time.time() < entered + 60.0, "its connection stands"
            time.sleep(0.01)
        gone = time.time()
        command.result()
        asked = asking.result()
    assert asked["granted_s"], "it was never let in"
    assert asked["refusal"] == "KF169"
    ((written_ms,),) = site.edge.rows(
        "SELECT max(at_ms) FROM audit WHERE kind = 'revoked' AND device = ?",
        device.name,
        store="authority/authority.db",
    )
    return PutOut(entered, written_ms / 1000, gone, asked["refused_s"])


def test_a_revoked_device_is_out_within_seconds(site: Site) -> None:
    found: list[PutOut] = []
    for _ in range(ROUNDS):
        gone_s = {}
        for device in site.devices.values():
            found.append(put_out(site, device))
            gone_s[device.name] = found[-1].gone
        stay_out(site, gone_s)
        let_in_again(site, *site.devices.values())
    print(f"\nrevoked {len(found)} times; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for what, spans in (
        ("command entered to connection ended", [one.gone - one.entered for one in found]),
        ("records written to connection ended", [one.gone - one.written for one in found]),
        ("records written to signed requests refused", [one.refused - one.written for one in found]),
    ):
        print(f"{what}: p50 {median(spans):.2f} s, max {max(spans):.2f} s")


def test_a_thief_with_a_copy_of_its_credentials_is_out_too(site: Site) -> None:
    device = site.devices["cam-1"]
    thief = Camera(site.attacker, site.folder / "thief", device.name)
    shutil.copytree(device.home / "trust", thief.home / "trust")
    site.edge.cli("edge", "revoke", device.name)
    until("its connection ended", lambda: not site.edge.connections(device.machine.address))
    assert thief.program("holding", "connect", str(thief.home)) == {"connected": False, "error": "KF43"}
    assert thief.program("holding", "renew", str(thief.home))["refusal"] == "KF169"
    let_in_again(site, device)


def test_a_device_whose_cable_was_pulled_is_not_let_in_when_it_returns(site: Site) -> None:
    device = site.devices["cam-2"]
    device.machine.pull()
    site.edge.cli("edge", "revoke", device.name)
    until("its connection ended", lambda: not site.edge.connections(device.machine.address))
    out_s = time.time()
    device.machine.plug()
    stay_out(site, {device.name: out_s})
    let_in_again(site, device)


def test_a_device_that_was_put_out_while_the_edge_server_stood_still(site: Site) -> None:
    device = site.devices["cam-3"]
    site.edge.stop()
    site.edge.cli("edge", "revoke", device.name)
    out_s = time.time()
    site.edge.run()
    until("the others back", lambda: site.edge.online() >= {"cam-1", "cam-2"})
    stay_out(site, {device.name: out_s})
    let_in_again(site, device)


def stay_out(site: Site, gone_s: dict[str, float]) -> None:
    """Each tries to come back and is turned away, and nothing of it is stored any more."""
    time.sleep(AFTERWARDS_S)
    for name, at_s in gone_s.items():
        assert site.devices[name].alive()
        until(f"{name} tried, in vain", lambda name=name: _turned_away(site.devices[name].said()))
        assert name not in site.edge.online()
        ((late,),) = site.edge.rows(
            "SELECT count(*) FROM observations WHERE source = ? AND received_ms > ?", name, at_s * 1000 + ON_ITS_WAY_MS
        )
        assert late == 0, f"{name} was heard after it was put out"


def _turned_away(said: str) -> bool:
    """A device says when it comes in, and the first time that it does not (KF43)."""
    return said.rfind("KF43") > said.rfind("connected to ")
