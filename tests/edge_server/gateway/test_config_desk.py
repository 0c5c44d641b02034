"""Commands that configure a device, over a client that holds what is retained as a broker would."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge_server.errors import DeviceNotAsked
from edge_server.gateway.config_desk import ConfigDesk
from edge_server.store.rows import LogEntry
from node.broker.port import Received
from node.clock import ManualClock
from node.identity import Identity
from protocol.codec import decode, encode
from protocol.ids import DeviceId
from protocol.messages import ConfigCommand
from protocol.topics import CONFIG_COMMAND

AGENT = DeviceId("pi-1")
TOPIC = CONFIG_COMMAND.of(AGENT, "relearn-road")


class RetainingClient:
    """Enough of a broker for one topic: the retained message, and whoever listens."""

    def __init__(self) -> None:
        self.connected = True
        self.retained: dict[str, bytes] = {}
        self._listeners: list[Callable[[Received], None]] = []

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def subscribe(self, topic_filter: str, qos: int, on_message: Callable[[Received], None]) -> None:
        self._listeners.append(on_message)

    def publish(self, topic: str, payload: bytes, qos: int, retained: bool = False) -> bool:
        if not self.connected:
            return False
        if payload:
            self.retained[topic] = payload
        else:
            self.retained.pop(topic, None)
        for listener in self._listeners:
            listener(Received(topic, payload, retained=False))
        return True


@pytest.fixture
def client() -> RetainingClient:
    return RetainingClient()


@pytest.fixture
def told() -> list[LogEntry]:
    return []


@pytest.fixture
def desk(client: RetainingClient, told: list[LogEntry]) -> ConfigDesk:
    desk = ConfigDesk(client, Identity(DeviceId("edge-1"), ManualClock()), told.append)
    desk.attach()
    return desk


def answer(client: RetainingClient, status: str, source: DeviceId = AGENT, reason: str = "") -> None:
    asked = decode(CONFIG_COMMAND, client.retained[TOPIC])
    said = ConfigCommand(
        **Identity(source, ManualClock()).live(),
        command=asked.command,
        device=asked.device,
        name=asked.name,
        arguments=asked.arguments,
        status=status,
        reason=reason,
    )
    client.publish(TOPIC, encode(said), 1, retained=True)


def test_a_command_waits_retained_and_is_cleared_at_its_end(
    desk: ConfigDesk, client: RetainingClient, told: list[LogEntry]
) -> None:
    command = desk.ask(AGENT, "relearn-road", {"camera": "cam-1"})
    asked = decode(CONFIG_COMMAND, client.retained[TOPIC])
    assert (asked.command, asked.status, asked.arguments) == (command, "init", {"camera": "cam-1"})
    answer(client, "executing")
    assert TOPIC in client.retained
    answer(client, "successful")
    assert TOPIC not in client.retained
    assert [line.text for line in told] == [
        "pi-1 was asked: relearn-road (camera cam-1)",
        "pi-1 successful: relearn-road (camera cam-1)",
    ]


def test_a_failure_is_told_with_its_reason(desk: ConfigDesk, client: RetainingClient, told: list[LogEntry]) -> None:
    desk.ask(AGENT, "relearn-road", {"camera": "cam-9"})
    answer(client, "failed", reason="this device has no camera cam-9")
    assert (told[-1].severity, told[-1].subject) == ("warning", "cam-9")
    assert "no camera cam-9" in told[-1].text
    assert TOPIC not in client.retained


def test_only_the_device_itself_ends_a_command(desk: ConfigDesk, client: RetainingClient) -> None:
    desk.ask(AGENT, "relearn-road", {})
    answer(client, "successful", source=DeviceId("pi-2"))
    assert TOPIC in client.retained


def test_without_a_broker_nobody_is_asked(desk: ConfigDesk, client: RetainingClient, told: list[LogEntry]) -> None:
    client.connected = False
    with pytest.raises(DeviceNotAsked, match="KF81"):
        desk.ask(AGENT, "relearn-road", {})
    assert told == []


def test_rubbish_on_the_topic_is_passed_over(desk: ConfigDesk, client: RetainingClient, told: list[LogEntry]) -> None:
    for payload in (b"\xff", b"{}", b"[]"):
        client.publish(TOPIC, payload, 1, retained=True)
    assert told == []
