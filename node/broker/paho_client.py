"""The broker port on paho-mqtt."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from random import Random, SystemRandom
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from node.backoff import backoff_s
from node.broker.port import BrokerAddress, OnConnection, OnMessage, Received, Will
from node.errors import BrokerRefused, BrokerUnreachable
from protocol.errors import KinflowError

WINDOW = 1000
KEEPALIVE_S = 5
CONNECT_TIMEOUT_S = 5.0
# Where there is a choice, a host that does not answer must not keep a device from the one that does.
CONNECT_TIMEOUT_OF_SEVERAL_S = 1.5
STEADY_S = 5.0
LONGEST_PAUSE_S = 30.0
# Who has two brokers is to be back on one of them within seconds, whatever has happened before.
LONGEST_PAUSE_OF_SEVERAL_S = 3.0
HEARERS_KEPT = 20_000
DRAIN_S = 1.0

Tls = Callable[[], ssl.SSLContext]

log = logging.getLogger(__name__)


class PahoClient:
    """One MQTT 3.1.1 connection with a clean session, kept up by its own thread.

    addresses: one broker, or several that serve alike. It keeps to the one that works, and when that is lost tries it
    again and then the others in turn, without a pause until all have been tried. tls: asked at each connection, so that
    a certificate that was renewed is used; None for what the system trusts.

    Each connection gets a fresh paho client: whatever the old one still held dies with it, so nothing that was handed
    over before a cut is sent after it. A cut is noticed within two keep-alive times.
    """

    def __init__(
        self,
        addresses: BrokerAddress | Sequence[BrokerAddress],
        client_id: str,
        will: Will | None = None,
        *,
        window: int = WINDOW,
        keepalive_s: int = KEEPALIVE_S,
        tls: Tls | None = None,
        random: Random | None = None,
    ) -> None:
        self._addresses = (addresses,) if isinstance(addresses, BrokerAddress) else tuple(addresses)
        self._at = 0
        self._connect_timeout_s = CONNECT_TIMEOUT_S if len(self._addresses) == 1 else CONNECT_TIMEOUT_OF_SEVERAL_S
        self._client_id = client_id
        self._will = will
        self._window = window
        self._keepalive_s = keepalive_s
        self._tls = tls or ssl.create_default_context
        self._random = random or SystemRandom()
        self._lock = threading.Lock()
        self._subscriptions: dict[str, tuple[int, list[OnMessage]]] = {}
        # Who hears a topic: matching filters costs more than all else that is done with a message.
        self._hearers: dict[str, list[OnMessage]] = {}
        self._on_connection: list[OnConnection] = []
        self._error: KinflowError | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        # The client that CONNECT was sent with, and the same once it may be used.
        self._current: paho.Client | None = None
        self._live: paho.Client | None = None
        self._requested: set[str] = set()
        # Messages given to the live client, and those it has done with. The second is written by its thread alone: paho
        # calls back under its own locks, so no lock of ours may be taken there.
        self._handed = 0
        self._finished = 0

    @property
    def connected(self) -> bool:
        return self._live is not None

    @property
    def error(self) -> KinflowError | None:
        return self._error

    def watch(self, on_connection: OnConnection) -> None:
        self._on_connection.append(on_connection)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"mqtt-{self._client_id}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        current = self._current
        wire: Any = current.socket() if current is not None else None
        joining = self._thread is not None and self._thread is not threading.current_thread()
        held = _second_handle(wire) if joining else None
        if current is not None:
            current.disconnect()
        if self._thread is None or not joining:
            return
        self._thread.join(CONNECT_TIMEOUT_S / 2)
        if held is not None:
            _drain(held)
        if self._thread.is_alive() and wire is not None:
            with contextlib.suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)  # the other end reads nothing: it won't get a good-bye
        self._thread.join(CONNECT_TIMEOUT_S)

    def redirect(self, addresses: Sequence[BrokerAddress], *, anew: bool = False) -> None:
        """Use these brokers from now on. A connection to one that is still among them is kept, unless `anew`; any other
        is cut as a failing link would cut it, so that its broker publishes the will; this returns once that is done.
        From any thread but the client's own."""
        before, after = self._address, tuple(addresses)
        kept = before in after and not anew
        with self._lock:
            self._at = 0  # in any list of addresses
            self._addresses = after
            self._at = after.index(before) if kept else 0
        current = self._current
        wire: Any = current.socket() if current is not None and not kept else None
        if wire is not None:
            with contextlib.suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)
            deadline = time.monotonic() + CONNECT_TIMEOUT_S
            while self._current is current and time.monotonic() < deadline:
                time.sleep(0.01)

    def subscribe(self, topic_filter: str, qos: int, on_message: OnMessage) -> None:
        with self._lock:
            _, callbacks = self._subscriptions.get(topic_filter, (qos, []))
            self._subscriptions = {**self._subscriptions, topic_filter: (qos, [*callbacks, on_message])}
            self._hearers = {}
            live = self._live
        if live is not None:
            live.subscribe(topic_filter, qos)

    def publish(self, topic: str, payload: bytes, qos: int, retained: bool = False) -> bool:
        with self._lock:
            live = self._live
            if live is None or self._handed - self._finished >= self._window:
                return False
            self._handed += 1
            return live.publish(topic, payload, qos, retained).rc == paho.MQTT_ERR_SUCCESS

    @property
    def _address(self) -> BrokerAddress:
        return self._addresses[self._at]

    def _run(self) -> None:
        several = len(self._addresses) > 1
        attempt = in_vain = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            was_live = self._connect_once()
            in_vain = 0 if was_live else in_vain + 1
            if in_vain:
                self._at = (self._at + 1) % len(self._addresses)
            if in_vain % len(self._addresses):
                continue  # another one may answer
            # A connection that lasts resets the back-off; one that is thrown out again and again does not.
            steady = time.monotonic() - began > STEADY_S + self._connect_timeout_s
            attempt = 1 if steady else attempt + 1
            longest_s = LONGEST_PAUSE_OF_SEVERAL_S if several else LONGEST_PAUSE_S
            self._stopping.wait(backoff_s(attempt, self._random, longest_s=longest_s))

    def _connect_once(self) -> bool:
        """One connection from its beginning to its end; whether it could be used."""
        ended = threading.Event()
        client: paho.Client | None = None
        try:
            client = self._fresh_client()
            client.on_disconnect = lambda *_: ended.set()
            self._current = client
            client.connect(self._address.host, self._address.port, keepalive=self._keepalive_s)
            self._tune(client.socket())
            client.loop_start()
            if self._stopping.is_set():  # stop() may have come too early for its own disconnect()
                client.disconnect()
            ended.wait()
            if self._live is not client and self._error is None:
                # By TLS 1.3 a client learns that it was refused once it believes to be in.
                self._fail(self._unreachable("it hung up before it answered"))
        except (OSError, ValueError) as error:
            self._fail(self._unreachable(str(error)))
        except KinflowError as error:
            self._fail(error)
        finally:
            if client is not None:
                client.loop_stop()
            self._current = None
            with self._lock:
                was_live, self._live = self._live is not None, None
            if was_live:
                self._tell(False)
        return was_live

    def _unreachable(self, detail: str) -> BrokerUnreachable:
        return BrokerUnreachable(host=self._address.host, port=self._address.port, detail=detail)

    def _fresh_client(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=True,
            protocol=paho.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = self._connect_timeout_s
        client.max_inflight_messages_set(self._window)
        client.max_queued_messages_set(self._window)
        if self._address.username is not None:
            client.username_pw_set(self._address.username, self._address.password)
        if self._address.tls:
            client.tls_set_context(self._tls())
        if self._will is not None:
            client.will_set(self._will.topic, self._will.payload, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        return client

    @staticmethod
    def _tune(wire: Any) -> None:
        if wire is None:
            raise ConnectionResetError("it hung up at once")
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Bytes that a dead link holds back are given up, rather than delivered when it heals.
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000)

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            self._fail(BrokerRefused(host=self._address.host, port=self._address.port, detail=str(reason)))
            return
        self._requested = set()
        self._enter(client)

    def _on_subscribe(
        self, client: paho.Client, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            log.error("the broker refused a subscription of %s", self._client_id)
        if self._live is not client:
            self._enter(client)

    def _enter(self, client: paho.Client) -> None:
        """Subscribe to what this connection hasn't been asked for yet; once nothing is missing, it may be used."""
        with self._lock:
            missing = [(name, qos) for name, (qos, _) in self._subscriptions.items() if name not in self._requested]
            self._requested.update(name for name, _ in missing)
            if missing:
                client.subscribe(missing)  # the broker's answer leads here again
                return
            self._handed = self._finished = 0
            self._error = None
            self._live = client
        log.info("connected to %s:%d", self._address.host, self._address.port)
        self._tell(True)

    def _on_publish(self, *_arguments: Any) -> None:
        self._finished += 1

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            received = Received(message.topic, bytes(message.payload), message.retain)
        except UnicodeDecodeError:
            log.warning("a message whose topic is no UTF-8 was dropped")
            return
        for callback in self._hearers_of(received.topic):
            self._call(callback, received)

    def _hearers_of(self, topic: str) -> list[OnMessage]:
        hearers = self._hearers
        if topic not in hearers:
            if len(hearers) >= HEARERS_KEPT:
                hearers.clear()
            hearers[topic] = [
                callback
                for topic_filter, (_, callbacks) in self._subscriptions.items()
                if paho.topic_matches_sub(topic_filter, topic)
                for callback in callbacks
            ]
        return hearers[topic]

    def _tell(self, connected: bool) -> None:
        for callback in self._on_connection:
            self._call(callback, connected)

    @staticmethod
    def _call(callback: Any, argument: object) -> None:
        try:
            callback(argument)
        except Exception:
            log.exception("a callback of the MQTT client failed")

    def _fail(self, error: KinflowError) -> None:
        if self._error is None or self._error.code != error.code:
            log.warning("%s", error)
        self._error = error


def _second_handle(wire: Any) -> socket.socket | None:
    """Keeps a connection open after paho has closed its own handle; None when it is closed already."""
    try:
        return socket.socket(fileno=os.dup(wire.fileno()))
    except (AttributeError, OSError):
        return None


def _drain(held: socket.socket) -> None:
    """Read what still comes until the broker hangs up. To close a connection with unread bytes resets it: the broker
    may then never see the good-bye that it was sent, and publishes the will."""
    with held, contextlib.suppress(OSError):
        held.settimeout(DRAIN_S)
        deadline = time.monotonic() + DRAIN_S
        while held.recv(65_536) and time.monotonic() < deadline:
            pass
