from __future__ import annotations

from collections.abc import Callable

import pytest

from protocol.edge_status import AlarmCounts, DeviceStatus, EdgeStatus
from protocol.ids import BootId, DeviceId, SiteId

BOOTS = [BootId(f"{number:016x}") for number in range(4)]


@pytest.fixture
def status() -> Callable[..., EdgeStatus]:
    """status(seq, boot=0, key=value...) is a status of edge-1."""

    def make(seq: int = 1, boot: int = 0, **fields: object) -> EdgeStatus:
        base: dict[str, object] = {
            "edge": DeviceId("edge-1"),
            "boot": BOOTS[boot],
            "seq": seq,
            "at_ms": 1_795_000_000_000 + seq,
            "software": "kinflow 1.2.3",
            "site": SiteId("site"),
            "uptime_s": 5.0,
            "broker_connected": True,
            "alarms": AlarmCounts(critical=1, warning=2),
            "devices": (
                DeviceStatus(device=DeviceId("north-1"), role="agent", state="online", software="kinflow 1.2.3"),
                DeviceStatus(device=DeviceId("south-1"), role="agent", state="offline", software="kinflow 1.2.2"),
            ),
        }
        return EdgeStatus(**(base | fields))  # type: ignore[arg-type]

    return make
