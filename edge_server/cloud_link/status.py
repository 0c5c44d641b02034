"""From what the edge server knows to what its cloud is told: counts and versions, and nothing that was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from edge_server.fleet.device import Device
from edge_server.store.rows import StoredAlarm
from protocol.edge_status import DEVICES_LIMIT, AlarmCounts, DeviceStatus


def alarm_counts(standing: Iterable[StoredAlarm]) -> AlarmCounts:
    found = Counter(one.severity for one in standing)
    return AlarmCounts(info=found["info"], warning=found["warning"], critical=found["critical"])


def device_statuses(devices: Iterable[Device]) -> tuple[tuple[DeviceStatus, ...], int]:
    """The devices, those that are well last, and how many did not fit into one report. Simulated ones are not told."""
    real = sorted((one for one in devices if not one.simulated), key=lambda one: (one.state == "online", one.device))
    told = tuple(
        DeviceStatus(device=one.device, role=one.role, state=one.state, software=one.software[:100])
        for one in real[:DEVICES_LIMIT]
    )
    return told, len(real) - len(told)
