"""Clocks that are wrong by hours or years, on either side: within the limits of docs/joining.md, and beyond.

Run: pytest -m slow tests/network
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from node.trust.known_time import FILE as TIME
from tests.network.installed import Camera, Edge, until
from tests.network.lab import Network
from tests.network.site import EDGE, Site

HOUR_S, DAY_S, YEAR_S = 3_600, 86_400, 31_557_600
NEAR_MS = 60_000
# Long enough for a device to try its broker a few times.
TRYING_S = 15.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def site(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(network, tmp_path_factory.mktemp("site"))
    made.edge.run()
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("off_s", "name"),
    [
        (-12 * YEAR_S, "12-years-behind"),
        (-5 * HOUR_S, "5-hours-behind"),
        (5 * HOUR_S, "5-hours-ahead"),
        (9 * YEAR_S, "9-years-ahead"),
    ],
)
def test_a_device_whose_clock_is_wrong_joins_and_is_heard(site: Site, off_s: int, name: str) -> None:
    device = Camera(site.devices["cam-1"].machine, site.folder / name, name, off_s)
    done = device.join(site.edge.code("--approved"), edge=EDGE)
    assert done.returncode == 0, done.stderr
    forget_the_time(device)
    device.watch()
    try:
        until("its observations", lambda: times_of(site, name))
        captured_ms, device_captured_ms = times_of(site, name)[0]
        assert abs(captured_ms - time.time() * 1000) < NEAR_MS, "the edge server took the device's clock for its own"
        assert abs(device_captured_ms - time.time() * 1000) > NEAR_MS, "the device's clock was right"
        assert site.edge.unbroken(name)
    finally:
        device.stop()


@pytest.mark.parametrize(("days", "comes_in"), [(90.5, True), (92, False)], ids=["within a day", "beyond"])
def test_without_an_answer_a_device_goes_by_its_own_clock(site: Site, days: float, comes_in: bool) -> None:
    """The edge server's certificate ends in 90 days, and a day more is tolerated. HTTPS, by which a device
    would be told the time, is cut."""
    name = "within" if comes_in else "beyond"
    device = Camera(site.devices["cam-2"].machine, site.folder / name, name)
    assert device.join(site.edge.code("--approved"), edge=EDGE).returncode == 0
    forget_the_time(device)
    device.off_s = round(days * DAY_S)
    device.machine.cut_off(8800)
    device.watch()
    try:
        if comes_in:
            until("it online", lambda: name in site.edge.online())
            return
        until("its reason", lambda: "KF43" in device.said())
        assert "the server's certificate ended" in device.said()
        time.sleep(TRYING_S)
        assert not site.edge.accounts(name)
        # It has asked for the time as soon as that can be asked.
        device.machine.cut_off(None)
        until("it online", lambda: name in site.edge.online())
    finally:
        device.machine.cut_off(None)
        device.stop()


def test_an_edge_server_whose_clock_is_ahead_has_its_devices_renew_within_the_grace_and_no_longer(site: Site) -> None:
    device = site.devices["cam-3"]
    assert device.join(site.edge.code("--approved"), edge=EDGE).returncode == 0
    first = certificate(device)
    device.watch()
    until("it online", lambda: device.name in site.edge.online())
    # Its certificate ends after 7 days and is renewed for 30 more: beyond that it stays out until the clock is right.
    set_clock(site.edge, 60 * DAY_S)
    until("a refusal", lambda: "ended more than 30 days ago" in device.said())
    assert device.name not in site.edge.online()
    assert certificate(device) == first
    set_clock(site.edge, 0)
    until("it online again", lambda: device.name in site.edge.online())

    before = certificate(device)
    set_clock(site.edge, 20 * DAY_S)
    until("it online by a new certificate", lambda: device.name in site.edge.online())
    assert certificate(device) != before
    set_clock(site.edge, 0)
    until("it online with the right clock", lambda: device.name in site.edge.online())
    device.stop()


@pytest.mark.parametrize("year", [2021, 1970])
def test_an_edge_server_whose_clock_is_behind_lets_its_devices_in(site: Site, year: int) -> None:
    off_s = round(datetime(year, 6, 1, tzinfo=UTC).timestamp() - time.time())
    edge = Edge(site.attacker, site.folder / f"edge-{year}", "edge-2", off_s).run()
    name = f"cam-of-{year}"
    device = Camera(site.devices["cam-1"].machine, site.folder / name, name)
    try:
        assert device.join(edge.code("--approved"), edge=site.attacker.address).returncode == 0
        device.watch()
        until("it online", lambda: name in edge.online())
        until("its observations", lambda: edge.unbroken(name))
    finally:
        device.stop()
        edge.stop()


def forget_the_time(device: Camera) -> None:
    """As after a restart of the machine, of which the state folder's note of the time knows by the boot's id."""
    (device.home / "trust" / TIME).unlink(missing_ok=True)


def set_clock(edge: Edge, off_s: int) -> None:
    edge.stop()
    edge.off_s = off_s
    edge.run()


def certificate(device: Camera) -> str:
    return (device.home / "trust/certificate.pem").read_text()


def times_of(site: Site, name: str) -> list[tuple[int, int]]:
    """When the latest was seen: by the edge server's clock, by the device's."""
    return site.edge.rows(
        "SELECT captured_ms, device_captured_ms FROM observations WHERE source = ? ORDER BY id DESC LIMIT 1", name
    )
