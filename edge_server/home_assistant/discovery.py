"""Home Assistant's device discovery: one message that describes a device and all of its entities. Pure.

Form: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload (since 2024.12): `dev`, `o`, `cmps`,
each component with its platform `p` and a unique id; a component that is gone is sent once more with `p` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_server.fleet.device import Device
from protocol.topics import PRESENCE
from protocol.units import CONGESTION_CLASSES

Component = dict[str, Any]

_BIRTH = "{{ 'online' if value_json.kind == 'birth' else 'offline' }}"
_MEASUREMENT = {"state_class": "measurement"}
_DIAGNOSTIC = {"entity_category": "diagnostic", "state_class": "measurement"}


def config_topic(device: str, discovery_prefix: str) -> str:
    return f"{discovery_prefix}/device/kinflow-{device}/config"


def state_topic(device: str, prefix: str) -> str:
    return f"{prefix}/home-assistant/{device}"


def discovery(device: Device, edge: str, version: str, prefix: str, gone: Mapping[str, str]) -> dict[str, Any]:
    """The discovery message. gone: components (id to platform) that an earlier message named and this one does not."""
    removed: dict[str, Component] = {name: {"p": platform} for name, platform in gone.items()}
    return {
        "dev": {
            "ids": [f"kinflow-{device.device}"],
            "name": device.name or device.device,
            "mf": "Kinflow",
            "mdl": device.hardware or device.role,
            "sw": device.software,
            "sn": device.device,
        },
        "o": {"name": "kinflow", "sw": version},
        "availability_mode": "all",
        "availability": [
            {"topic": PRESENCE.of(one, prefix=prefix), "value_template": _BIRTH}  # type: ignore[arg-type]
            for one in (device.device, edge)
        ],
        "state_topic": state_topic(device.device, prefix),
        "qos": 1,
        "cmps": components(device) | removed,
    }


def components(device: Device) -> dict[str, Component]:
    """Every entity of a device by its id."""
    entities = {"alarm": _entity(device, "alarm", "binary_sensor", "Alarm", "alarm", device_class="problem")}
    for camera in device.cameras:
        entities |= _camera(device, camera.camera)
    if device.role == "agent":
        entities |= _health(device)
    if device.role == "controller":
        options = ["local", "edge", "flash"]
        entities["control"] = _entity(
            device, "control", "sensor", "Control", "control", device_class="enum", options=options
        )
    return entities


def _camera(device: Device, camera: str) -> dict[str, Component]:
    def of(key: str, name: str, **more: object) -> tuple[str, Component]:
        where = f"cameras['{camera}'].{key}"
        return f"{camera}-{key}", _entity(device, f"{camera}-{key}", "sensor", f"{camera} {name}", where, **more)

    emergency = _entity(
        device,
        f"{camera}-emergency",
        "binary_sensor",
        f"{camera} emergency vehicle",
        f"cameras['{camera}'].emergency",
        device_class="occupancy",
    )
    return {
        **dict(
            (
                of("index_percent", "congestion index", unit_of_measurement="%", **_MEASUREMENT),
                of("congestion", "congestion", device_class="enum", options=list(CONGESTION_CLASSES)),
                of("queue_m", "queue", device_class="distance", unit_of_measurement="m", **_MEASUREMENT),
                of("speed_mps", "speed", device_class="speed", unit_of_measurement="m/s", **_MEASUREMENT),
                of("count", "vehicles", **_MEASUREMENT),
                of("quality_percent", "picture quality", unit_of_measurement="%", **_DIAGNOSTIC),
            )
        ),
        f"{camera}-emergency": emergency,
    }


def _health(device: Device) -> dict[str, Component]:
    def of(key: str, name: str, device_class: str | None, unit: str) -> tuple[str, Component]:
        more = {"device_class": device_class} if device_class else {}
        entity = _entity(device, key, "sensor", name, f"health.{key}", unit_of_measurement=unit, **more, **_DIAGNOSTIC)
        return key, entity

    return dict(
        (
            of("temperature_c", "Temperature", "temperature", "°C"),
            of("cpu_percent", "Processor", None, "%"),
            of("rss_mb", "Memory", "data_size", "MB"),
            of("disk_free_mb", "Free disk", "data_size", "MB"),
            of("uptime_s", "Uptime", "duration", "s"),
        )
    )


def _entity(device: Device, key: str, platform: str, name: str, where: str, **more: object) -> Component:
    """where: the value's place in the state, which a template reads; a null there is `unknown` in Home Assistant."""
    return {
        "p": platform,
        "name": name,
        "unique_id": f"kinflow_{device.device}_{key}",
        "value_template": f"{{{{ value_json.{where} }}}}",
        **more,
    }
