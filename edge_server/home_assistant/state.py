"""What Home Assistant is told of one device: a flat picture of its latest live state. Pure."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from edge_server.events import AlarmReceived, Event, HealthReceived, HeartbeatReceived, ObservationReceived
from edge_server.fleet.device import Device
from protocol.messages import Estimate, Observation


class HomeState(Struct, frozen=True):
    """cameras: by camera id. alarms: those that stand, as (alarm, subject)."""

    cameras: dict[str, dict[str, Any]] = {}
    health: dict[str, float | None] = {}
    control: str | None = None
    alarms: frozenset[tuple[str, str]] = frozenset()


def after(state: HomeState, event: Event) -> HomeState:
    """The state after one more event about this device; history is passed over."""
    match event:
        case ObservationReceived(observation=one, live=True):
            return replace(state, cameras={**state.cameras, one.camera: _camera(one)})
        case HealthReceived(health=health):
            names = ("temperature_c", "cpu_percent", "rss_mb", "disk_free_mb", "uptime_s")
            return replace(state, health={name: getattr(health, name) for name in names})
        case HeartbeatReceived(heartbeat=heartbeat):
            return replace(state, control=heartbeat.control)
        case AlarmReceived(alarm=alarm):
            this = {(alarm.alarm, alarm.subject)}
            return replace(state, alarms=state.alarms | this if alarm.active else state.alarms - this)
        case _:
            return state


def urgent(before: HomeState, now: HomeState) -> bool:
    """Whether something changed that an automation may wait for: not a figure, but a class or a state."""
    return (before.alarms, before.control, _classes(before)) != (now.alarms, now.control, _classes(now))


def as_json(state: HomeState, device: Device) -> dict[str, Any]:
    """Every key that a template of `discovery` reads is there, null where nothing is known."""
    blank = {"index_percent": None, "congestion": None, "queue_m": None, "speed_mps": None, "count": None}
    blank |= {"quality_percent": None, "emergency": None}
    health = dict.fromkeys(("temperature_c", "cpu_percent", "rss_mb", "disk_free_mb", "uptime_s"))
    return {
        "cameras": {one.camera: state.cameras.get(one.camera, blank) for one in device.cameras},
        "health": {**health, **state.health},
        "control": state.control,
        "alarm": "ON" if state.alarms else "OFF",
    }


def _camera(one: Observation) -> dict[str, Any]:
    emergency = {"unavailable": None, "absent": "OFF"}.get(one.emergency, "ON")
    return {
        "index_percent": _rounded(one.index, 100.0),
        "congestion": one.congestion,
        "queue_m": _rounded(one.queue_m),
        "speed_mps": _rounded(one.speed_mps),
        "count": _rounded(one.count),
        "quality_percent": round(one.quality.score * 100.0),
        "emergency": emergency,
    }


def _rounded(estimate: Estimate | None, factor: float = 1.0) -> float | None:
    return None if estimate is None or estimate.value is None else round(estimate.value * factor, 1)


def _classes(state: HomeState) -> dict[str, tuple[Any, Any]]:
    return {name: (camera["congestion"], camera["emergency"]) for name, camera in state.cameras.items()}
