"""The link: one device's whole conversation over MQTT, typed, with presence, acknowledgements and the outbox."""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from node.broker.port import BrokerClient, Received, Will
from node.errors import OutboxDiskFull, StoreDamaged
from node.identity import Identity
from node.outbox.entry import Entry
from node.outbox.outbox import Outbox, OutboxMetrics
from node.outbox.queue import Loss
from node.ready_structs import ready_structs
from protocol.codec import LIMIT_BYTES, decode_addressed, encode
from protocol.errors import KinflowError, MessageTooLarge
from protocol.ids import DeviceId
from protocol.messages import Ack, Alarm, Birth, Death, Gap, Message
from protocol.topics import ACK, ALARM, DEFAULT_PREFIX, GAP, PRESENCE, Address, Topic

INBOX_MESSAGES = 10_000
CHUNK = 64
IDLE_S = 0.25
CONGESTED_S = 0.01
LOG_EVERY = 1_000

Handler = Callable[[Address, Message, bool], None]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LinkMetrics:
    """Counts since the start. refused: messages that couldn't be read, by error code. overrun: messages that came
    faster than they were handled (accounted ones come again)."""

    connected: bool
    sent: int
    received: int
    overrun: int
    refused: dict[str, int]
    outbox: OutboxMetrics


def death_will(identity: Identity, prefix: str = DEFAULT_PREFIX) -> Will:
    """The will to connect with: this boot's death, on the device's own presence topic."""
    return Will(PRESENCE.of(identity.device, prefix=prefix), encode(Death(**identity.live(), reason="will")))


class Link:
    """Thread-safe. The client must have been made with death_will(identity, prefix). beat: called each time that the
    sender comes round.

    Handlers run one at a time on one thread of the link; a slow one delays the others and never the connection.
    """

    def __init__(
        self,
        identity: Identity,
        client: BrokerClient,
        outbox: Outbox,
        prefix: str = DEFAULT_PREFIX,
        *,
        birth: Callable[[], Birth],
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._identity = identity
        self._client = client
        self._outbox = outbox
        self._prefix = prefix
        self._birth = birth
        self._beat = beat
        self._stopping = threading.Event()
        self._inbox: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._on_connection: list[Callable[[bool], None]] = []
        self._sent = 0
        self._received = 0
        self._overrun = 0
        self._refused: Counter[str] = Counter()
        self._fault_told = False
        self._aside_told = 0
        self._dispatcher = threading.Thread(target=self._dispatch, name="link-in", daemon=True)
        self._sender = threading.Thread(target=self._pump, name="link-out", daemon=True)
        client.watch(self._connection_changed)
        self.subscribe(ACK, identity.device, self._acked)
        self.subscribe(PRESENCE, identity.device, self._own_presence)

    @property
    def connected(self) -> bool:
        return self._client.connected

    @property
    def metrics(self) -> LinkMetrics:
        return LinkMetrics(
            self.connected, self._sent, self._received, self._overrun, dict(self._refused), self._outbox.metrics
        )

    def start(self) -> None:
        ready_structs()
        self._dispatcher.start()
        self._sender.start()
        self._client.start()

    def stop(self, drain_s: float = 0.0) -> None:
        """Say good-bye and end. With drain_s, first wait that long for acknowledgements; the rest is kept on disk."""
        if self._stopping.is_set():
            return
        if self.connected and drain_s > 0:
            self._outbox.wait_empty(drain_s)
        self._stopping.set()
        self._join(self._sender)
        self._publish_presence(Death(**self._identity.live(), reason="shutdown"))
        self._client.stop()
        self._inbox.put(None)
        self._join(self._dispatcher)
        self._outbox.close()

    def on_connection(self, callback: Callable[[bool], None]) -> None:
        """Call back, on the handlers' thread, with each change of the connection."""
        self._on_connection.append(callback)

    def send(self, topic: Topic[Any], message: Message, item: str = "", wait: bool = False) -> bool:
        """Send a message that the outbox accounts for (stamped with identity.accounted()) on the own topic.

        An alarm is on disk when this returns. False means that more is waiting than one window: hold back, or the
        oldest telemetry will be thinned; with `wait` this holds back by itself. Raises MessageTooLarge (KF12).
        """
        name = topic.of(self._identity.device, item, self._prefix)
        payload = _encoded(name, message)
        assert topic.delivery != "live", "live messages go through send_live"
        return self._outbox.put("gap" if topic is GAP else topic.delivery, name, message.seq, payload, wait)

    def send_live(self, topic: Topic[Any], device: DeviceId, message: Message, item: str = "") -> bool:
        """Send now or never (stamped with identity.live()), on the topic of `device`. False when it was not sent."""
        name = topic.of(device, item, self._prefix)
        return self._publish(name, _encoded(name, message), topic.qos, topic.retained)

    def clear_retained(self, topic: Topic[Any], device: DeviceId, item: str = "") -> bool:
        """Remove what the broker retains on a topic."""
        return self._publish(topic.of(device, item, self._prefix), b"", topic.qos, retained=True)

    def subscribe(self, topic: Topic[Any], device: DeviceId | None, handler: Handler) -> None:
        """Call handler(address, message, retained) for each readable message on one device's topic, or on everybody's.
        Unreadable ones are counted by their error code and logged."""
        names = topic.every(self._prefix)
        if device is not None:
            names = names.replace("/+/", f"/{device}/", 1)
        self._client.subscribe(names, topic.qos, lambda received: self._receive(received, handler))

    @staticmethod
    def _join(thread: threading.Thread) -> None:
        if thread.is_alive() and thread is not threading.current_thread():
            thread.join()

    # Outwards

    def _publish(self, name: str, payload: bytes, qos: int, retained: bool = False) -> bool:
        handed = self._client.publish(name, payload, qos, retained)
        self._sent += handed
        return handed

    def _publish_presence(self, message: Birth | Death) -> None:
        self.send_live(PRESENCE, self._identity.device, message)

    def _pump(self) -> None:
        while not self._stopping.is_set():
            self._beat()
            try:
                entries = self._outbox.take(CHUNK)
                refused = self._send_in_order(entries)
                self._outbox.tick(self._report)
                self._tell_faults()
            except Exception:
                log.exception("the link's sender failed; it goes on")
                refused = True
            if refused:
                self._stopping.wait(CONGESTED_S)
            elif not entries:
                self._outbox.wait_sendable(IDLE_S)

    def _send_in_order(self, entries: list[Entry]) -> bool:
        """Whether the connection refused some; those wait in the outbox again."""
        for number, entry in enumerate(entries):
            if entry.payload is not None and not self._publish(entry.topic, entry.payload, qos=1):
                self._outbox.give_back(entries[number:])
                return True
        return False

    def _report(self, loss: Loss) -> tuple[int, str, bytes]:
        gap = Gap(**self._identity.accounted(), gap_boot=loss.boot, ranges=loss.ranges, reason=loss.reason)
        return gap.seq, GAP.of(self._identity.device, prefix=self._prefix), encode(gap)

    def _tell_faults(self) -> None:
        """Raise an alarm when the outbox can't write, once, and clear it when it can; and one for each damaged file."""
        fault = self._outbox.fault
        if (fault is not None) != self._fault_told:
            self._fault_told = fault is not None
            text = str(fault) if fault is not None else "the outbox can be written again"
            self._raise_alarm("outbox-disk", OutboxDiskFull, text, active=fault is not None)
        aside = self._outbox.metrics.set_aside
        if aside > self._aside_told:
            self._aside_told = aside
            text = "the outbox was damaged: it was set aside, and a new one is in use"
            self._raise_alarm("outbox-damaged", StoreDamaged, text, active=True)

    def _raise_alarm(self, kind: str, error: type[KinflowError], text: str, active: bool) -> None:
        alarm = Alarm(
            **self._identity.accounted(),
            alarm=kind,
            subject=self._identity.device,
            severity="critical",
            active=active,
            text=text[:500],
            code=f"KF{error.number}",
        )
        self.send(ALARM, alarm)

    # Inwards

    def _connection_changed(self, connected: bool) -> None:
        try:
            if connected:
                self._publish_presence(self._birth())
        finally:
            self._outbox.set_link(connected)
        self._inbox.put(lambda: [callback(connected) for callback in self._on_connection])

    def _receive(self, received: Received, handler: Handler) -> None:
        if self._inbox.qsize() < INBOX_MESSAGES:
            self._inbox.put(lambda: self._handle(received, handler))
            return
        self._overrun += 1
        if self._overrun % LOG_EVERY == 1:
            log.warning("%d messages came faster than they were handled", self._overrun)

    def _dispatch(self) -> None:
        while (step := self._inbox.get()) is not None:
            try:
                step()
            except Exception:
                log.exception("a handler failed")

    def _handle(self, received: Received, handler: Handler) -> None:
        self._received += 1
        if not received.payload:
            return  # a retained message was cleared
        try:
            address, message = decode_addressed(received.topic, received.payload, self._prefix)
        except KinflowError as error:
            self._refused[error.code] += 1
            if self._refused[error.code] % LOG_EVERY == 1:
                log.warning("%s (%d so far)", error, self._refused[error.code])
            return
        handler(address, message, received.retained)

    def _acked(self, _address: Address, message: Message, _retained: bool) -> None:
        if isinstance(message, Ack):
            self._outbox.acked(message.acked_boot, message.ranges)

    def _own_presence(self, _address: Address, message: Message, retained: bool) -> None:
        """A late will of an earlier boot or connection must not bury us: we are here. (What was retained before we came
        has been replaced by our birth already.)"""
        if isinstance(message, Death) and not retained and not self._stopping.is_set():
            self._publish_presence(self._birth())
        elif isinstance(message, Birth) and message.boot != self._identity.boot:
            log.error("another process runs as %s; every device needs an id of its own", self._identity.device)


def _encoded(name: str, message: Message) -> bytes:
    payload = encode(message)
    if len(payload) > LIMIT_BYTES:
        raise MessageTooLarge(topic=name, size_bytes=len(payload), limit_bytes=LIMIT_BYTES)
    return payload
