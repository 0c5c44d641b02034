"""Keeps Home Assistant informed: announces devices, tells their state, takes removed ones away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

import msgspec
from msgspec.structs import replace

from edge_server.bus import Bus
from edge_server.events import (
    AlarmReceived,
    BrokerLink,
    DeviceChanged,
    DeviceRemoved,
    Event,
    HealthReceived,
    HeartbeatReceived,
    ObservationReceived,
    Resync,
)
from edge_server.fleet.device import Device
from edge_server.home_assistant.discovery import components, config_topic, discovery, state_topic
from edge_server.home_assistant.state import HomeState, after, as_json, urgent
from edge_server.store.rows import StoredAlarm
from node.broker.port import BrokerClient, Received
from node.clock import Clock
from protocol.ids import DeviceId
from protocol.topics import DEFAULT_PREFIX

# Figures are told this often, a changed class or alarm at once.
STATE_EVERY_MS = 5_000


class HomeAssistant:
    """Make it before the client starts: it subscribes."""

    def __init__(
        self,
        client: BrokerClient,
        devices: Callable[[], Mapping[DeviceId, Device]],
        clock: Clock,
        edge: DeviceId,
        version: str,
        *,
        discovery_prefix: str = "homeassistant",
        prefix: str = DEFAULT_PREFIX,
    ) -> None:
        self._client = client
        self._devices = devices
        self._clock = clock
        self._edge = edge
        self._version = version
        self._discovery_prefix = discovery_prefix
        self._prefix = prefix
        self._lock = threading.Lock()
        self._announced: dict[DeviceId, dict[str, str]] = {}
        self._states: dict[DeviceId, HomeState] = {}
        self._told_mono_ms: dict[DeviceId, int] = {}
        client.subscribe(f"{discovery_prefix}/status", 1, self._hear_status)

    def attach(self, bus: Bus, standing: Iterable[StoredAlarm]) -> None:
        """standing: the alarms that were raised before our start, and not cleared since."""
        for alarm in standing:
            state = self._states.get(alarm.source, HomeState())
            self._states[alarm.source] = replace(state, alarms=state.alarms | {(alarm.alarm, alarm.subject)})
        kinds = (AlarmReceived, BrokerLink, DeviceChanged, DeviceRemoved, HealthReceived, HeartbeatReceived)
        bus.subscribe(self.handle, *kinds, ObservationReceived, name="home-assistant")

    def handle(self, event: Event) -> None:
        with self._lock:
            match event:
                case DeviceChanged(device=device):
                    self._announce(device)
                case DeviceRemoved(device=name):
                    self._remove(name)
                case BrokerLink(connected=True) | Resync():
                    self._announce_all()
                case AlarmReceived(alarm=message) | HealthReceived(health=message):
                    self._tell(message.source, event)
                case HeartbeatReceived(heartbeat=heartbeat):
                    self._tell(heartbeat.source, event)
                case ObservationReceived(observation=observation, live=True):
                    self._tell(observation.source, event)
                case _:
                    pass

    def _hear_status(self, received: Received) -> None:
        """Home Assistant says `online` when it has started and knows nothing yet."""
        if received.payload == b"online":
            with self._lock:
                self._announce_all()

    def _announce_all(self) -> None:
        for device in self._devices().values():
            self._announce(device)

    def _announce(self, device: Device) -> None:
        if device.role == "edge":
            return
        named = {name: str(entity["p"]) for name, entity in components(device).items()}
        gone = {name: kind for name, kind in self._announced.get(device.device, {}).items() if name not in named}
        message = discovery(device, self._edge, self._version, self._prefix, gone)
        if self._publish(config_topic(device.device, self._discovery_prefix), msgspec.json.encode(message)):
            self._announced[device.device] = named
        self._tell_state(device)

    def _remove(self, name: DeviceId) -> None:
        self._announced.pop(name, None)
        self._states.pop(name, None)
        self._told_mono_ms.pop(name, None)
        self._publish(config_topic(name, self._discovery_prefix), b"")
        self._publish(state_topic(name, self._prefix), b"")

    def _tell(self, name: DeviceId, event: Event) -> None:
        before = self._states.get(name, HomeState())
        now = self._states[name] = after(before, event)
        device = self._devices().get(name)
        waited_ms = self._clock.monotonic_ms() - self._told_mono_ms.get(name, -STATE_EVERY_MS)
        if device is not None and (urgent(before, now) or waited_ms >= STATE_EVERY_MS):
            self._tell_state(device)

    def _tell_state(self, device: Device) -> None:
        self._told_mono_ms[device.device] = self._clock.monotonic_ms()
        state = self._states.get(device.device, HomeState())
        self._publish(state_topic(device.device, self._prefix), msgspec.json.encode(as_json(state, device)))

    def _publish(self, topic: str, payload: bytes) -> bool:
        return self._client.publish(topic, payload, 1, retained=True)
