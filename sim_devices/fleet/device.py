"""One simulated device: registers, numbers its messages, keeps each until the edge acknowledges it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from zlib import crc32

from node.broker.port import BrokerAddress
from node.clock import Clock
from node.identity import Identity
from protocol.codec import decode, encode
from protocol.ids import ApproachId, CameraId, DeviceId, MessageId
from protocol.messages import Alarm, Birth, CameraInfo, Death, Estimate, Observation, Quality
from protocol.topics import ACK, ALARM, DEFAULT_PREFIX, OBSERVATION, PRESENCE
from protocol.units import classify, index_from_occupancy
from sim_devices.fleet import wire

# A device of the fleet sends a few messages a second: fifty that wait mean that the edge server has too much to do.
WINDOW = 50
ALARM_EVERY = 50
# As patient as the outbox of a real device.
RESEND_AFTER_MS = 5_000
RESEND_LONGEST_MS = 20_000
KEEPALIVE_S = 60
_CAMERA = CameraId("camera")


def is_alarm(name: str, number: int) -> bool:
    """Every ALARM_EVERY-th message of a device is an alarm; each device begins elsewhere, so that all together raise
    them steadily."""
    return (number + crc32(name.encode())) % ALARM_EVERY == 0


@dataclass
class _Pending:
    topic: str
    payload: bytes
    sent_ms: int
    due_ms: int
    attempts: int = 0


class SimDevice(asyncio.Protocol):
    """Only for use on one event loop. A full window holds observations back: they are not made. An alarm is made all
    the same, as a real outbox takes it whatever waits."""

    def __init__(
        self,
        name: DeviceId,
        address: BrokerAddress,
        clock: Clock,
        prefix: str = DEFAULT_PREFIX,
        window: int | None = None,
    ) -> None:
        self._window = WINDOW if window is None else window
        self.identity = Identity(name, clock)
        self.approach = ApproachId(f"{name}-road")
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.numbered = 0
        self.held_back = 0
        self.repeated = 0
        self.alarm_acked_ms: list[int] = []
        self._address = address
        self._clock = clock
        self._prefix = prefix
        self._pending: dict[int, _Pending] = {}
        self._packet_id = 0
        self._reader = wire.Reader()
        self._transport: asyncio.Transport | None = None
        self._topics = {
            ALARM: ALARM.of(name, prefix=prefix),
            OBSERVATION: OBSERVATION.of(name, _CAMERA, prefix=prefix),
        }

    @property
    def pending(self) -> int:
        return len(self._pending)

    @property
    def connected(self) -> bool:
        return self._transport is not None

    def observe(self) -> tuple[MessageId, int] | None:
        """Send the next message, mostly an observation. Returns an observation's id, and when it was handed over on the
        loop's clock in microseconds; None for an alarm, or when the window is full."""
        urgent = is_alarm(self.identity.device, self.numbered + 1)
        if not urgent and (not self.connected or len(self._pending) >= self._window):
            self.held_back += 1
            return None
        self.numbered += 1
        if urgent:
            alarm = self._alarm()
            self._send(alarm.seq, self._topics[ALARM], encode(alarm))
            return None
        observation = self._observation()
        at_us = round(asyncio.get_running_loop().time() * 1e6)
        self._send(observation.seq, self._topics[OBSERVATION], encode(observation))
        return observation.id, at_us

    def beat(self) -> None:
        """Once a second or so: send again what was not acknowledged, and keep the connection up."""
        now_ms = self._clock.monotonic_ms()
        for pending in self._pending.values():
            if now_ms >= pending.due_ms:
                pending.attempts += 1
                pending.due_ms = now_ms + min(RESEND_AFTER_MS << min(pending.attempts, 16), RESEND_LONGEST_MS)
                self.repeated += 1
                self._write(wire.publish(pending.topic, pending.payload, self._next_id()))

    def ping(self) -> None:
        self._write(wire.PINGREQ)

    def close(self) -> None:
        death = encode(Death(**self.identity.live(), reason="shutdown"))
        topic = PRESENCE.of(self.identity.device, prefix=self._prefix)
        self._write(wire.publish(topic, death, self._next_id(), retained=True) + wire.DISCONNECT)
        if self._transport is not None:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        name, will = self.identity.device, Death(**self.identity.live(), reason="will")
        topic = PRESENCE.of(name, prefix=self._prefix)
        user, password = self._address.username or "", self._address.password or ""
        self._write(wire.connect(name, user, password, KEEPALIVE_S, (topic, encode(will))))

    def data_received(self, data: bytes) -> None:
        for kind, flags, body in self._reader.feed(data):
            if kind == wire.PUBLISH:
                ack = decode(ACK, wire.payload_of(flags, body))
                if ack.acked_boot == self.identity.boot:
                    for first, last in ack.ranges:
                        for seq in range(first, last + 1):
                            self._acked(self._pending.pop(seq, None))
            elif kind == wire.CONNACK:
                if body[1]:
                    self._fail(f"the broker refused {self.identity.device} (code {body[1]})")
                    return
                self._write(wire.subscribe(ACK.of(self.identity.device, prefix=self._prefix), self._next_id()))
            elif kind == wire.SUBACK:
                self._register()
                if not self.ready.done():
                    self.ready.set_result(None)

    def _acked(self, pending: _Pending | None) -> None:
        if pending is not None and pending.topic == self._topics[ALARM]:
            self.alarm_acked_ms.append(self._clock.monotonic_ms() - pending.sent_ms)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"{self.identity.device} lost its connection ({exc or 'closed'})")
        self._transport = None
        self._reader = wire.Reader()

    def _fail(self, text: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(text))

    def _register(self) -> None:
        camera = CameraInfo(camera=_CAMERA, approach=self.approach, width_px=640, height_px=360, calibrated=True)
        birth = Birth(
            **self.identity.live(), role="agent", software="bench", cameras=(camera,), simulated=True, hardware="none"
        )
        topic = PRESENCE.of(self.identity.device, prefix=self._prefix)
        self._write(wire.publish(topic, encode(birth), self._next_id(), retained=True))

    def _send(self, seq: int, topic: str, payload: bytes) -> None:
        now_ms = self._clock.monotonic_ms()
        self._pending[seq] = _Pending(topic, payload, now_ms, now_ms + RESEND_AFTER_MS)
        self._write(wire.publish(topic, payload, self._next_id()))

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _next_id(self) -> int:
        self._packet_id = self._packet_id % 65_535 + 1
        return self._packet_id

    def _observation(self) -> Observation:
        envelope = self.identity.accounted()
        occupancy = 0.175 + 0.175 * ((envelope["seq"] * 7) % 100 / 100)
        index = index_from_occupancy(occupancy)
        return Observation(
            **envelope,
            camera=_CAMERA,
            approach=self.approach,
            captured_ms=envelope["at_ms"],
            captured_mono_ms=envelope["mono_ms"],
            frame=self.numbered,
            sensor="simulated-truth",
            status="ok",
            calibrated=True,
            occupancy=Estimate(occupancy, occupancy - 0.02, occupancy + 0.02),
            index=Estimate(index, max(0.0, index - 0.05), min(1.0, index + 0.05)),
            congestion=classify(index),
            quality=Quality(0.9),
            queue_m=Estimate(12.0, 9.0, 15.0),
        )

    def _alarm(self) -> Alarm:
        return Alarm(
            **self.identity.accounted(),
            alarm="bench",
            subject=self.identity.device,
            severity="info",
            active=self.numbered // ALARM_EVERY % 2 == 1,
            text="A message that must never be lost.",
        )
