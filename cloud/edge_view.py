"""One edge server as the page and the API show it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from protocol.edge_status import EVERY_S, AlarmCounts, DeviceStatus, EdgeStatus
from protocol.ids import DeviceId, SiteId

# Three reports may be lost before an edge is called late, and a quarter of an hour's before it is called silent.
LATE_MS = int(3.5 * EVERY_S * 1000)
SILENT_MS = 15 * 60 * 1000

EdgeState = Literal["reporting", "late", "silent", "never", "revoked"]


class EdgeRow(Struct, frozen=True, kw_only=True):
    """As the store holds it. Times are the cloud's own wall clock."""

    edge: DeviceId
    joined_ms: int
    revoked_ms: int | None = None
    received_ms: int | None = None
    status: EdgeStatus | None = None


class EdgeView(Struct, frozen=True, kw_only=True):
    """clock_off_s: how far the edge's clock was ahead of the cloud's at its latest report."""

    edge: DeviceId
    state: EdgeState
    joined_ms: int
    heard_ms: int | None = None
    site: SiteId | None = None
    software: str = ""
    uptime_s: float | None = None
    broker_connected: bool | None = None
    clock_off_s: float | None = None
    alarms: AlarmCounts = AlarmCounts()
    devices: tuple[DeviceStatus, ...] = ()
    devices_total: int = 0
    devices_online: int = 0


def view(row: EdgeRow, now_ms: int) -> EdgeView:
    status = row.status
    if status is None or row.received_ms is None:
        return EdgeView(edge=row.edge, joined_ms=row.joined_ms, state="revoked" if row.revoked_ms else "never")
    return EdgeView(
        edge=row.edge,
        state="revoked" if row.revoked_ms else _state(now_ms - row.received_ms),
        joined_ms=row.joined_ms,
        heard_ms=row.received_ms,
        site=status.site,
        software=status.software,
        uptime_s=status.uptime_s,
        broker_connected=status.broker_connected,
        clock_off_s=round((status.at_ms - row.received_ms) / 1000, 1),
        alarms=status.alarms,
        devices=status.devices,
        devices_total=len(status.devices) + status.devices_left_out,
        devices_online=sum(one.state == "online" for one in status.devices),
    )


def _state(silent_ms: int) -> EdgeState:
    """A clock of ours that was put back makes an age below zero: that is no silence."""
    if silent_ms > SILENT_MS:
        return "silent"
    return "late" if silent_ms > LATE_MS else "reporting"
