"""amqtt inside this process, where mosquitto is not installed: own thread and event loop, on loopback alone."""

from __future__ import annotations

import asyncio
import hmac
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amqtt.broker import Broker  # type: ignore[import-untyped]
from amqtt.plugins.base import BaseAuthPlugin  # type: ignore[import-untyped]
from amqtt.session import Session  # type: ignore[import-untyped]

from node.broker.password import USERNAME
from node.broker.port import BrokerAddress
from node.errors import BrokerFailed
from node.ports import LOOPBACK, check_port_free
from protocol.ids import DeviceId

START_TIMEOUT_S = 10.0


class SharedPassword(BaseAuthPlugin):  # type: ignore[misc]
    """Lets the one user in who knows the password."""

    @dataclass
    class Config:
        username: str = ""
        password: str = ""

    async def authenticate(self, *, session: Session) -> bool:
        name, word = session.username or "", session.password or ""
        return name == self.config.username and hmac.compare_digest(word.encode(), self.config.password.encode())


class _TidyBroker(Broker):  # type: ignore[misc]
    """amqtt 0.12 with two faults mended; tests/node/test_broker_contract.py tells when it no longer needs this."""

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        # It gives each new client the retained messages of every filter that anybody has subscribed to.
        if any(one is session for one, _ in self._subscriptions.get(subscription[0], ())):
            await super()._publish_retained_messages_for_subscription(subscription, session)

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        # It leaves the connection of a client that it refuses open.
        try:
            await super().stream_connected(reader, writer, listener_name)
        finally:
            writer.close()


class AmqttBroker:
    """Speaks MQTT 3.1.1 only, and keeps nothing on disk; `folder` is taken for the shape that all hosts share."""

    def __init__(self, folder: Path, port: int, password: str) -> None:
        del folder
        self._port = port
        self._password = password
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def address(self) -> BrokerAddress:
        return BrokerAddress(port=self._port, username=USERNAME, password=self._password)

    def start(self) -> None:
        check_port_free(LOOPBACK, self._port)
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.ERROR)
        started = threading.Event()
        failures: list[Exception] = []
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started, failures)), name="amqtt", daemon=True
        )
        self._thread.start()
        if not started.wait(START_TIMEOUT_S):
            raise BrokerFailed(kind="amqtt", detail=f"it was not ready within {START_TIMEOUT_S:.0f} s")
        if failures:
            raise BrokerFailed(kind="amqtt", detail=str(failures[0])) from failures[0]

    def revive(self) -> bool:
        if self._thread is None or self._thread.is_alive():
            return False
        self.start()
        return True

    def reload(self) -> None:
        """Nobody joins here."""

    def kick(self, device: DeviceId) -> None:
        """Nobody joins here."""

    def stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None or self._stopping is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join(START_TIMEOUT_S)

    async def _serve(self, started: threading.Event, failures: list[Exception]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        try:
            broker = _TidyBroker(self._settings())
            await broker.start()
        except Exception as error:
            failures.append(error)
            return
        finally:
            started.set()
        await self._stopping.wait()
        await broker.shutdown()

    def _settings(self) -> dict[str, Any]:
        return {
            "listeners": {"default": {"type": "tcp", "bind": f"{LOOPBACK}:{self._port}"}},
            "plugins": {
                f"{__name__}.{SharedPassword.__name__}": {"username": USERNAME, "password": self._password},
            },
        }
