"""What an edge server tells its cloud, and that nothing of it depends on the cloud."""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random
from types import SimpleNamespace

import pytest

from edge_server.cloud_link.reporter import SLOWEST_S, CloudReporter
from edge_server.fleet.device import Device
from edge_server.store.rows import StoredAlarm
from node.clock import ManualClock
from protocol.edge_status import DEVICES_LIMIT, EVERY_S, EdgeStatus, decode_status
from protocol.ids import BootId, DeviceId, SiteId

BOOT = BootId("0" * 16)


def device(name: str, state: str = "online", simulated: bool = False) -> Device:
    return Device(
        device=DeviceId(name), boot=BOOT, role="agent", state=state, software="kinflow 1", simulated=simulated
    )


def alarm(severity: str) -> StoredAlarm:
    return StoredAlarm(
        id=1,
        source=DeviceId("north-1"),
        boot=BOOT,
        seq=1,
        alarm="camera-stalled",
        subject="cam-1",
        severity=severity,
        active=True,
        text="the picture of a secret place",
        code=None,
        at_ms=0,
        received_ms=0,
    )


@pytest.fixture
def make() -> Callable[..., CloudReporter]:
    """make(send) is a reporter of an edge server with three devices and two alarms."""

    def build(send: Callable[[bytes], None], devices: list[Device] | None = None) -> CloudReporter:
        known = devices or [device("south-1"), device("north-1", "offline"), device("toy-1", simulated=True)]
        edge = SimpleNamespace(
            site=SimpleNamespace(id=SiteId("centre")),
            broker_connected=lambda: True,
            devices=lambda: {one.device: one for one in known},
            read=SimpleNamespace(alarms=lambda limit, active: [alarm("warning"), alarm("critical")]),
        )
        sender = SimpleNamespace(edge=DeviceId("edge-1"), send=send)
        return CloudReporter(edge, lambda: sender, ManualClock(wall_ms=5_000), Random(1))  # type: ignore[arg-type]

    return build


def test_counts_and_versions_and_nothing_that_was_seen(make: Callable[..., CloudReporter]) -> None:
    sent: list[bytes] = []
    reporter = make(sent.append)
    assert reporter.report()
    assert reporter.report()
    first, second = map(decode_status, sent)
    assert (first.edge, first.site, first.seq, second.seq, first.boot) == ("edge-1", "centre", 1, 2, second.boot)
    assert (first.alarms.warning, first.alarms.critical) == (1, 1)
    # Those that are not well come first; what is simulated is nobody's business.
    assert [(one.device, one.state) for one in first.devices] == [("north-1", "offline"), ("south-1", "online")]
    assert b"secret place" not in sent[0]
    assert set(EdgeStatus.__struct_fields__) == {
        *("v", "edge", "boot", "seq", "at_ms", "software", "site", "uptime_s"),
        *("broker_connected", "alarms", "devices", "devices_left_out"),
    }


def test_a_fleet_beyond_one_report_is_counted(make: Callable[..., CloudReporter]) -> None:
    fleet = [device(f"d-{number}") for number in range(DEVICES_LIMIT)] + [device("broken", "offline")]
    status = make(lambda body: None, fleet).status(DeviceId("edge-1"))
    assert (len(status.devices), status.devices_left_out) == (DEVICES_LIMIT, 1)
    assert status.devices[0].device == "broken"


@pytest.mark.parametrize("error", [OSError("no route"), ValueError("a fault of our own")])
def test_a_cloud_that_is_gone_is_asked_less_and_less(make: Callable[..., CloudReporter], error: Exception) -> None:
    gone = True

    def send(body: bytes) -> None:
        if gone:
            raise error

    reporter = make(send)
    waits = []
    for _ in range(12):
        assert not reporter.report()
        waits.append(reporter.wait_s())
    assert all(EVERY_S <= one <= SLOWEST_S for one in waits)
    assert waits[-1] > SLOWEST_S / 2
    gone = False
    assert reporter.report()
    assert 0.9 * EVERY_S <= reporter.wait_s() <= 1.1 * EVERY_S


def test_an_edge_without_a_cloud_tells_nobody_and_is_content() -> None:
    clouds = [None, None]
    reporter = CloudReporter(SimpleNamespace(), clouds.pop, ManualClock())  # type: ignore[arg-type]
    assert [reporter.report(), reporter.report()] == [True, True]
    assert reporter.wait_s() <= 1.1 * EVERY_S


def test_stopping_waits_for_nobody(make: Callable[..., CloudReporter]) -> None:
    """A cloud that takes the connection and never answers."""
    asked, answered = threading.Event(), threading.Event()

    def send(body: bytes) -> None:
        asked.set()
        answered.wait(20)

    reporter = make(send)
    reporter.start()
    assert asked.wait(10)
    reporter.stop()
    # It has returned although the report is still on its way.
    assert not answered.is_set()
    answered.set()
