"""Home Assistant's rules, written as checks, on what a real broker hands out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from edge_server.bus import Bus
from edge_server.events import AlarmReceived, BrokerLink, DeviceChanged, DeviceRemoved, Event, ObservationReceived
from edge_server.fleet.device import Device as Known
from edge_server.home_assistant.bridge import HomeAssistant
from node.broker.mosquitto import MosquittoBroker
from node.broker.paho_client import PahoClient
from node.broker.port import Received
from node.clock import ManualClock
from protocol.ids import DeviceId

# From the documentation of the MQTT integration and of its sensor and binary_sensor platforms.
PLATFORMS = {"sensor", "binary_sensor"}
SENSOR_CLASSES = {None, "enum", "distance", "speed", "temperature", "data_size", "duration"}
BINARY_CLASSES = {"problem", "occupancy"}
UNITS = {
    "distance": {"m"}, "speed": {"m/s"}, "temperature": {"°C"}, "data_size": {"MB"}, "duration": {"s"},
    "enum": {None}, None: {None, "%"},
}  # fmt: skip
TOPIC = re.compile(r"^homeassistant/device/[a-zA-Z0-9_-]+/config$")
TEMPLATE = re.compile(r"^\{\{ value_json((?:\.\w+|\['[^']+'\])+) \}\}$")


class Home:
    """A Home Assistant that keeps what is retained, and checks each discovery message by its rules."""

    def __init__(self, broker: MosquittoBroker) -> None:
        self.messages: dict[str, bytes] = {}
        self.count = 0
        self.client = PahoClient(broker.address, "home-assistant")
        self.client.subscribe("homeassistant/device/#", 1, self._take)
        self.client.subscribe("kinflow/home-assistant/#", 1, self._take)
        self.client.start()

    def _take(self, received: Received) -> None:
        self.count += 1
        self.messages[received.topic] = received.payload

    def discovery(self, device: str = "cam-1") -> dict[str, Any]:
        message = json.loads(self.messages[f"homeassistant/device/kinflow-{device}/config"])
        check_discovery(message)
        return message

    def state(self, device: str = "cam-1") -> dict[str, Any]:
        return json.loads(self.messages[f"kinflow/home-assistant/{device}"])

    def read(self, component: str) -> object:
        """A component's value, as its template reads it out of the state."""
        return look_up(self.discovery()["cmps"][component]["value_template"], self.state())


def look_up(template: str, state: object) -> object:
    found = TEMPLATE.match(template)
    assert found, template
    for name, quoted in re.findall(r"\.(\w+)|\['([^']+)'\]", found[1]):
        assert isinstance(state, dict)
        state = state[name or quoted]
    return state


def check_discovery(message: dict[str, Any]) -> None:
    assert message["dev"]["ids"]
    assert message["o"]["name"] == "kinflow"
    assert message["availability_mode"] in {"all", "any", "latest"}
    assert all({"topic", "value_template"} <= set(one) for one in message["availability"])
    assert message["state_topic"]
    unique = [one["unique_id"] for one in message["cmps"].values() if set(one) != {"p"}]
    assert len(unique) == len(set(unique))
    for component in message["cmps"].values():
        assert component["p"] in PLATFORMS
        if set(component) == {"p"}:
            continue  # one that is taken away
        assert component["unique_id"]
        assert component["name"]
        assert TEMPLATE.match(component["value_template"])
        kind = component.get("device_class")
        if component["p"] == "binary_sensor":
            assert kind in BINARY_CLASSES
            assert "state_class" not in component
            continue
        assert kind in SENSOR_CLASSES
        assert component.get("unit_of_measurement") in UNITS[kind]
        if kind == "enum":
            assert component["options"]
            assert "state_class" not in component
        else:
            assert component["state_class"] == "measurement"


@pytest.fixture
def home(mosquitto: MosquittoBroker) -> Iterator[Home]:
    home = Home(mosquitto)
    yield home
    home.client.stop()


class Bridge:
    def __init__(self, broker: MosquittoBroker, clock: ManualClock) -> None:
        self.devices: dict[DeviceId, Known] = {}
        self.bus = Bus()
        self.client = PahoClient(broker.address, "edge")
        self.bridge = HomeAssistant(self.client, lambda: self.devices, clock, DeviceId("edge-1"), "0.1")
        self.bridge.attach(self.bus, [])
        self.client.watch(lambda connected: self.bus.publish(BrokerLink(connected=connected)))
        self.client.start()

    def know(self, known: Known) -> None:
        self.devices[known.device] = known
        self.bus.publish(DeviceChanged(device=known))

    def tell(self, event: Event) -> None:
        self.bus.publish(event)


@pytest.fixture
def bridge(mosquitto: MosquittoBroker, clock: ManualClock, eventually: Callable[..., None]) -> Iterator[Bridge]:
    bridge = Bridge(mosquitto, clock)
    eventually(lambda: bridge.client.connected)
    yield bridge
    bridge.client.stop()
    bridge.bus.close()


@pytest.fixture
def known(device) -> Known:
    birth = device.birth()
    return Known(
        device=birth.source, boot=birth.boot, role="agent", state="online", software="1", cameras=birth.cameras
    )


def seen(device, index: float = 0.4, live: bool = True) -> ObservationReceived:
    return ObservationReceived(
        observation=device.observation(index), age_ms=0, live=live, received_ms=1, received_mono_ms=1
    )


def test_a_device_is_discovered_by_one_message_that_follows_the_rules(
    home: Home, bridge: Bridge, known: Known, device, eventually
) -> None:
    bridge.know(known)
    bridge.tell(seen(device))
    eventually(lambda: home.messages.get("kinflow/home-assistant/cam-1", b"").find(b"slow") > 0)
    topics = [topic for topic in home.messages if topic.startswith("homeassistant/")]
    assert len(topics) == 1
    assert TOPIC.match(topics[0])
    assert set(home.discovery()["cmps"]) >= {"alarm", "north-1-index_percent", "north-1-congestion", "temperature_c"}
    assert home.read("north-1-index_percent") == 40.0
    assert home.read("north-1-congestion") == "slow"
    assert home.read("north-1-queue_m") is None
    assert home.read("north-1-emergency") is None
    assert home.read("temperature_c") is None
    assert home.read("alarm") == "OFF"


def test_every_template_finds_its_value_before_anything_is_known(
    home: Home, bridge: Bridge, known: Known, eventually
) -> None:
    bridge.know(known)
    eventually(lambda: len(home.messages) == 2)
    for component in home.discovery()["cmps"]:
        home.read(component)


def test_availability_follows_the_device_and_the_edge_server(
    home: Home, bridge: Bridge, known: Known, eventually
) -> None:
    bridge.know(known)
    eventually(lambda: len(home.messages) == 2)
    topics = [one["topic"] for one in home.discovery()["availability"]]
    assert topics == ["kinflow/1/cam-1/presence", "kinflow/1/edge-1/presence"]


def test_when_home_assistant_comes_up_everything_is_told_again(
    home: Home, bridge: Bridge, known: Known, eventually
) -> None:
    bridge.know(known)
    eventually(lambda: home.count >= 2)
    told = home.count
    assert home.client.publish("homeassistant/status", b"online", 1)
    eventually(lambda: home.count >= told + 2)
    assert home.discovery()


def test_a_camera_that_is_gone_is_named_by_its_platform_alone(
    home: Home, bridge: Bridge, known: Known, eventually
) -> None:
    bridge.know(known)
    eventually(lambda: len(home.messages) == 2)
    bridge.know(replace(known, cameras=()))
    eventually(lambda: home.discovery()["cmps"]["north-1-congestion"] == {"p": "sensor"})
    assert home.discovery()["cmps"]["alarm"]["unique_id"]


def test_a_removed_device_is_taken_away(home: Home, bridge: Bridge, known: Known, eventually) -> None:
    bridge.know(known)
    eventually(lambda: len(home.messages) == 2)
    bridge.devices.clear()
    bridge.tell(DeviceRemoved(device=known.device))
    eventually(lambda: set(home.messages.values()) == {b""})


def test_figures_come_at_their_pace_and_a_new_class_or_alarm_at_once(
    home: Home, bridge: Bridge, known: Known, device, eventually
) -> None:
    bridge.know(known)
    bridge.tell(seen(device, 0.4))
    eventually(lambda: home.messages.get("kinflow/home-assistant/cam-1", b"").find(b"slow") > 0)
    bridge.tell(seen(device, 0.41))
    bridge.tell(seen(device, 0.9, live=False))
    bridge.tell(AlarmReceived(alarm=device.alarm(), age_ms=0, received_ms=1))
    eventually(lambda: home.read("alarm") == "ON")
    assert home.read("north-1-index_percent") == 41.0
    bridge.tell(AlarmReceived(alarm=device.alarm(active=False), age_ms=0, received_ms=1))
    eventually(lambda: home.read("alarm") == "OFF")
