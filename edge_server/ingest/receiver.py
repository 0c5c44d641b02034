"""From the broker's thread into the inbox: decode, count what is bad, let heartbeats and requests straight through."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from typing import Any

import structlog

from edge_server.bus import Bus
from edge_server.events import HeartbeatReceived, PriorityRequested, RouteRequested
from edge_server.ingest.core import Arrival
from edge_server.ingest.inbox import Cleared, Inbox, Reject
from node.broker.port import BrokerClient, Received
from node.clock import Clock
from protocol.codec import decode_addressed
from protocol.errors import KinflowError
from protocol.ids import DeviceId
from protocol.messages import Alarm, Birth, Death, Gap, Heartbeat, PriorityRequest, PriorityRoute
from protocol.topics import (
    ALARM,
    DEFAULT_PREFIX,
    GAP,
    HEALTH,
    HEARTBEAT,
    OBSERVATION,
    PRESENCE,
    PRIORITY_REQUEST,
    PRIORITY_ROUTE,
    VEHICLE,
    Topic,
    parse,
)

# Presence first: a device's registration is known before anything that it says.
HEARD: tuple[Topic[Any], ...] = (
    PRESENCE,
    HEARTBEAT,
    PRIORITY_REQUEST,
    PRIORITY_ROUTE,
    OBSERVATION,
    ALARM,
    HEALTH,
    VEHICLE,
    GAP,
)
# What fills queues, and comes again or is soon replaced when it was lost.
BULKY: tuple[Topic[Any], ...] = (OBSERVATION, HEALTH, VEHICLE)
SAMPLE_BYTES = 1_000
SAMPLES_A_MINUTE = 30
LOG_EVERY = 1_000

log = structlog.get_logger("edge.receiver")


def bulky(prefix: str) -> frozenset[str]:
    """The filters that are to have a connection of their own (node/broker/lanes.py)."""
    return frozenset(topic.every(prefix) for topic in BULKY)


class Receiver:
    """take() may be called from several threads. received, rejected (by code): since the start. A message that can't be
    read is never acknowledged."""

    def __init__(self, inbox: Inbox, bus: Bus, clock: Clock, prefix: str = DEFAULT_PREFIX) -> None:
        self._inbox = inbox
        self._bus = bus
        self._clock = clock
        self._prefix = prefix
        self.received = 0
        self.rejected: Counter[str] = Counter()
        self._heard: dict[DeviceId, int] = {}
        self._sampling = (0, 0)
        self._counting = threading.Lock()

    def subscribe(self, client: BrokerClient) -> None:
        """What is bulky comes at most once from the broker, which costs less than half of the time: it is the edge
        server's own acknowledgement, after the commit, that its device waits for."""
        for topic in HEARD:
            bulky = topic in BULKY
            client.subscribe(topic.every(self._prefix), 0 if bulky else topic.qos, self.shed if bulky else self.take)

    def heard(self) -> dict[DeviceId, int]:
        """Who spoke since the last call, and when by our monotonic clock."""
        heard, self._heard = self._heard, {}
        return heard

    def shed(self, received: Received) -> None:
        """take(), for what may be refused: unread while there is no room for it. To refuse must cost so little that the
        broker's queue in front of us, which knows no kinds and tells nobody, is never where messages end."""
        if not self._inbox.full:
            self.take(received)
            return
        with self._counting:
            self.received += 1
        with suppress(KinflowError):
            self._heard[parse(received.topic, self._prefix).device] = self._clock.monotonic_ms()
        self._inbox.refuse()

    def take(self, received: Received) -> None:
        with self._counting:
            self.received += 1
        now_ms, now_mono_ms = self._clock.wall_ms(), self._clock.monotonic_ms()
        try:
            if not received.payload and received.topic.endswith(f"/{PRESENCE.leaf}"):
                self._inbox.put(Cleared(parse(received.topic, self._prefix).device), precious=True)
                return
            address, message = decode_addressed(received.topic, received.payload, self._prefix)
        except KinflowError as error:
            self._reject(error, received, now_ms)
            return
        self._heard[address.device] = now_mono_ms
        if isinstance(message, Heartbeat):
            if not received.retained:
                self._bus.publish(
                    HeartbeatReceived(heartbeat=message, received_ms=now_ms, received_mono_ms=now_mono_ms)
                )
            return
        if isinstance(message, PriorityRequest):
            if not received.retained:
                self._bus.publish(PriorityRequested(request=message))
            return
        if isinstance(message, PriorityRoute):
            if not received.retained:
                self._bus.publish(RouteRequested(route=message))
            return
        arrival = Arrival(message, now_ms, now_mono_ms, received.retained)
        self._inbox.put(arrival, precious=isinstance(message, Alarm | Birth | Death | Gap))

    def _reject(self, error: KinflowError, received: Received, now_ms: int) -> None:
        with self._counting:
            self.rejected[error.code] += 1
            count = self.rejected[error.code]
        if count % LOG_EVERY == 1:
            log.warning("a message was set aside", code=error.code, cause=error.cause_text, so_far=count)
        minute, taken = self._sampling
        if minute != now_ms // 60_000:
            minute, taken = now_ms // 60_000, 0
        self._sampling = (minute, taken + 1)
        if taken < SAMPLES_A_MINUTE:
            sample = received.payload[:SAMPLE_BYTES]
            size_bytes = len(received.payload)
            reject = Reject(now_ms, error.code, received.topic[:200], error.cause_text[:500], size_bytes, sample)
            self._inbox.put(reject, precious=False)
