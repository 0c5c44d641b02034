"""A broker's client that answers in the same thread, so that a test moves the time and nothing else does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from node.broker.port import OnConnection, OnMessage, Received
from protocol.codec import decode_addressed, encode
from protocol.ids import DeviceId
from protocol.messages import Alarm, CommandOutcome, Heartbeat, Message, SignalCommand
from protocol.topics import SIGNAL_COMMAND

T = TypeVar("T")


class WireClient:
    """What the device says stands in heartbeats and alarms. command() waits for the link's thread to hand it over."""

    connected = True
    error = None

    def __init__(self, device: DeviceId) -> None:
        self.device = device
        self.heartbeats: list[Heartbeat] = []
        self.alarms: list[Alarm] = []
        self._handlers: dict[str, OnMessage] = {}
        self._watchers: list[OnConnection] = []

    def start(self) -> None:
        for watcher in self._watchers:
            watcher(True)

    def stop(self) -> None: ...

    def watch(self, on_connection: OnConnection) -> None:
        self._watchers.append(on_connection)

    def subscribe(self, topic_filter: str, qos: int, on_message: OnMessage) -> None:
        self._handlers[topic_filter] = on_message

    def publish(self, topic: str, payload: bytes, qos: int, retained: bool = False) -> bool:
        if payload:
            message: Message = decode_addressed(topic, payload, "kinflow")[1]
            if isinstance(message, Heartbeat):
                self.heartbeats.append(message)
            elif isinstance(message, Alarm):
                self.alarms.append(message)
        return True

    def deliver(self, command: SignalCommand, *, retained: bool = False) -> None:
        topic = SIGNAL_COMMAND.of(self.device)
        self._handlers[topic](Received(topic, encode(command), retained))

    def command(self, command: SignalCommand) -> CommandOutcome:
        """Deliver it, and wait until a heartbeat answers it."""
        self.deliver(command)
        said = until(lambda: next((one for one in reversed(self.heartbeats) if _answers(one, command)), None))
        assert said.last_command is not None
        return said.last_command


def _answers(heartbeat: Heartbeat, command: SignalCommand) -> bool:
    return heartbeat.last_command is not None and heartbeat.last_command.command == command.id


def until(found: Callable[[], T | None], seconds: float = 10.0) -> T:
    deadline = time.monotonic() + seconds
    while (one := found()) is None:
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.002)
    return one
