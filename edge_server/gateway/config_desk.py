"""Commands that configure a device: asked here, carried out there, and cleared here once the end is known.

The topic is retained, so a device that is away finds the question when it returns, and this server finds the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edge_server.errors import DeviceNotAsked
from edge_server.store.rows import LogEntry
from node.broker.port import BrokerClient, Received
from node.identity import Identity
from protocol.codec import decode_addressed, encode
from protocol.errors import KinflowError
from protocol.ids import DeviceId, MessageId
from protocol.messages import ConfigCommand
from protocol.topics import CONFIG_COMMAND, DEFAULT_PREFIX


class ConfigDesk:
    """log: where each step is told to people."""

    def __init__(
        self, client: BrokerClient, identity: Identity, log: Callable[[LogEntry], None], prefix: str = DEFAULT_PREFIX
    ) -> None:
        self._client = client
        self._identity = identity
        self._log = log
        self._prefix = prefix
        self._watchers: list[Callable[[ConfigCommand], None]] = []

    def watch(self, watcher: Callable[[ConfigCommand], None]) -> None:
        """Call back, on the client's thread, with the end of each command."""
        self._watchers.append(watcher)

    def attach(self) -> None:
        """Listen for what devices answer."""
        self._client.subscribe(CONFIG_COMMAND.every(self._prefix), CONFIG_COMMAND.qos, self._take)

    def ask(self, device: DeviceId, name: str, arguments: Mapping[str, str]) -> MessageId:
        """Ask `device` to do `name`; how it went comes later, as a line of the log. Raises DeviceNotAsked (KF81)."""
        envelope = self._identity.live()
        command = envelope["id"]
        said = ConfigCommand(
            **envelope, command=command, device=device, name=name, status="init", arguments=dict(arguments)
        )
        topic = CONFIG_COMMAND.of(device, name, self._prefix)
        if not self._client.publish(topic, encode(said), CONFIG_COMMAND.qos, retained=True):
            raise DeviceNotAsked(device=device)
        self._tell(said, f"{device} was asked: {name}{_words(said)}")
        return command

    def _take(self, received: Received) -> None:
        """Only the end matters here, and only from the device itself; what can't be read is the ingest's to count."""
        if not received.payload:
            return
        try:
            address, said = decode_addressed(received.topic, received.payload, self._prefix)
        except KinflowError:
            return
        if not isinstance(said, ConfigCommand) or said.source != address.device:
            return
        if said.status in {"successful", "failed"}:
            reason = f": {said.reason}" if said.reason else ""
            self._tell(said, f"{address.device} {said.status}: {said.name}{_words(said)}{reason}")
            for watcher in self._watchers:
                watcher(said)
            self._client.publish(received.topic, b"", CONFIG_COMMAND.qos, retained=True)

    def _tell(self, said: ConfigCommand, text: str) -> None:
        self._log(
            LogEntry(
                at_ms=self._identity.clock.wall_ms(),
                kind="config-command",
                severity="warning" if said.status == "failed" else "info",
                device=said.device,
                subject=str(said.arguments.get("camera", said.device)),
                text=text[:500],
            )
        )


def _words(said: ConfigCommand) -> str:
    """`(camera cam-3)`"""
    words = ", ".join(f"{name} {value}" for name, value in said.arguments.items())
    return f" ({words})" if words else ""
