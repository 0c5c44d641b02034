"""The link over a broker in memory: presence, typed messages, acknowledgements, bad input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from node.broker.memory import MemoryBroker
from node.broker.port import Received
from node.clock import SystemClock
from node.identity import Identity
from node.link import Link, death_will
from node.outbox.entry import Limits
from node.outbox.outbox import Outbox
from protocol.codec import decode, encode
from protocol.errors import MessageTooLarge
from protocol.ids import BootId, DeviceId
from protocol.messages import Ack, Alarm, Birth, Death, Heartbeat, Message
from protocol.topics import ACK, ALARM, HEARTBEAT, PRESENCE, Address

DEVICE = DeviceId("agent-1")


class Setting:
    """A broker in memory, links on it, and a peer that hears everything and acknowledges."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.broker.start()
        self.heard: list[Received] = []
        self.acknowledge = True
        self.links: list[Link] = []
        self.edge = Identity(DeviceId("edge-1"), SystemClock())
        self.peer = self.broker.client("peer")
        self.peer.subscribe("kinflow/1/#", 1, self._hear)
        self.peer.start()

    def link(self, device: DeviceId = DEVICE, limits: Limits | None = None) -> tuple[Identity, Link]:
        identity = Identity(device, SystemClock())
        outbox = Outbox(identity.boot, SystemClock(), None, limits)
        client = self.broker.client(device, death_will(identity))
        link = Link(identity, client, outbox, birth=lambda: Birth(**identity.live(), role="agent", software="test"))
        self.links.append(link)
        return identity, link

    def presence(self) -> list[Message]:
        name = PRESENCE.of(DEVICE)
        return [decode(PRESENCE, one.payload) for one in self.heard if one.topic == name]

    def close(self) -> None:
        for link in self.links:
            link.stop()
        self.peer.stop()

    def _hear(self, received: Received) -> None:
        self.heard.append(received)
        if self.acknowledge and received.topic.endswith("/alarm"):
            alarm = decode(ALARM, received.payload)
            ack = Ack(**self.edge.live(), acked_boot=alarm.boot, ranges=((alarm.seq, alarm.seq),))
            self.peer.publish(ACK.of(alarm.source), encode(ack), 0)


@pytest.fixture
def setting() -> Iterator[Setting]:
    made = Setting()
    yield made
    made.close()


def alarm(identity: Identity, text: str = "x") -> Alarm:
    return Alarm(
        **identity.accounted(), alarm="camera-stalled", subject="cam-1", severity="warning", active=True, text=text
    )


def test_an_alarm_is_sent_and_forgotten_once_acknowledged(setting: Setting, wait_until: Callable[..., None]) -> None:
    identity, link = setting.link()
    link.start()
    assert link.send(ALARM, alarm(identity))
    wait_until(lambda: link.metrics.outbox.acked == 1)
    assert (link.metrics.outbox.queued, link.metrics.outbox.in_flight) == (0, 0)


def test_without_an_acknowledgement_it_is_sent_again(setting: Setting, wait_until: Callable[..., None]) -> None:
    setting.acknowledge = False
    identity, link = setting.link(limits=Limits(resend_ms=50))
    link.start()
    link.send(ALARM, alarm(identity))
    wait_until(lambda: len([one for one in setting.heard if one.topic == ALARM.of(DEVICE)]) >= 3)
    payloads = {one.payload for one in setting.heard if one.topic == ALARM.of(DEVICE)}
    assert len(payloads) == 1


def test_what_was_said_while_down_arrives_after_the_link_is_up(
    setting: Setting, wait_until: Callable[..., None]
) -> None:
    identity, link = setting.link()
    link.start()
    wait_until(lambda: link.connected)
    setting.broker.stop()
    wait_until(lambda: not link.connected)
    for number in range(5):
        link.send(ALARM, alarm(identity, str(number)))
    setting.broker.start()
    wait_until(lambda: link.metrics.outbox.acked == 5)
    texts = [decode(ALARM, one.payload).text for one in setting.heard if one.topic == ALARM.of(DEVICE)]
    assert texts == [str(number) for number in range(5)]


def test_the_link_says_birth_and_good_bye(setting: Setting, wait_until: Callable[..., None]) -> None:
    _, link = setting.link()
    link.start()
    wait_until(setting.presence)
    link.stop()
    wait_until(lambda: len(setting.presence()) == 2)
    birth, death = setting.presence()
    assert isinstance(birth, Birth)
    assert isinstance(death, Death)
    assert (death.reason, death.boot) == ("shutdown", birth.boot)


def test_a_killed_connection_leaves_the_will_of_its_boot(setting: Setting, wait_until: Callable[..., None]) -> None:
    identity, link = setting.link()
    link.start()
    wait_until(setting.presence)
    setting.broker.kill(DEVICE)
    wait_until(lambda: any(isinstance(one, Death) for one in setting.presence()))
    death = next(one for one in setting.presence() if isinstance(one, Death))
    assert (death.reason, death.boot) == ("will", identity.boot)


def test_a_late_will_does_not_bury_a_living_device(setting: Setting, wait_until: Callable[..., None]) -> None:
    identity, link = setting.link()
    link.start()
    wait_until(setting.presence)
    before = Identity(DEVICE, SystemClock(), BootId("0" * 16))
    setting.peer.publish(PRESENCE.of(DEVICE), encode(Death(**before.live(), reason="will")), 1, retained=True)
    wait_until(lambda: isinstance(setting.presence()[-1], Birth) and len(setting.presence()) >= 3)
    assert setting.presence()[-1].boot == identity.boot


def test_bad_messages_are_counted_by_code_and_harm_nothing(setting: Setting, wait_until: Callable[..., None]) -> None:
    _identity, link = setting.link()
    arrived: list[tuple[Address, Message, bool]] = []
    link.subscribe(ALARM, None, lambda *arguments: arrived.append(arguments))
    link.start()
    wait_until(lambda: link.connected)
    other = Identity(DeviceId("other"), SystemClock())
    for payload in (b"\xff\xfe", b"{", b'{"v":2}', b"[" * 70_000, encode(alarm(other))):
        setting.peer.publish(ALARM.of(DEVICE), payload, 1)
    setting.peer.publish(ALARM.of(other.device), encode(alarm(other)), 1)
    wait_until(lambda: arrived)
    assert link.metrics.refused == {"KF11": 2, "KF13": 1, "KF12": 1, "KF14": 1}
    (address, message, retained) = arrived[0]
    assert (address.device, message.source, retained) == (other.device, other.device, False)


def test_a_cleared_topic_is_no_message(setting: Setting, wait_until: Callable[..., None]) -> None:
    _, link = setting.link()
    arrived: list[Any] = []
    link.subscribe(PRESENCE, None, lambda *arguments: arrived.append(arguments))
    link.start()
    wait_until(lambda: arrived)
    link.clear_retained(PRESENCE, DeviceId("ghost"))
    identity, _ = setting.link(DeviceId("second"))
    setting.peer.publish(
        PRESENCE.of(identity.device), encode(Birth(**identity.live(), role="vehicle", software="")), 1, retained=True
    )
    wait_until(lambda: any(address.device == "second" for address, _, _ in arrived))
    assert link.metrics.refused == {}


def test_live_messages_are_sent_now_or_never(setting: Setting, wait_until: Callable[..., None]) -> None:
    identity, link = setting.link()
    link.start()
    wait_until(lambda: link.connected)

    def beat(counter: int) -> bool:
        heartbeat = Heartbeat(
            **identity.live(),
            intersection="north",
            counter=counter,
            control="local",
            phases=(),
            target=(),
            highest_epoch=0,
        )
        return link.send_live(HEARTBEAT, DEVICE, heartbeat)

    assert beat(1)
    setting.broker.stop()
    wait_until(lambda: not link.connected)
    assert not beat(2)
    setting.broker.start()
    wait_until(lambda: link.connected)
    assert beat(3)
    name = HEARTBEAT.of(DEVICE)
    wait_until(lambda: len([one for one in setting.heard if one.topic == name]) == 2)
    counters = [decode(HEARTBEAT, one.payload).counter for one in setting.heard if one.topic == name]
    assert counters == [1, 3]


def test_a_slow_handler_does_not_stop_the_connection(setting: Setting, wait_until: Callable[..., None]) -> None:
    _, link = setting.link()
    changes: list[bool] = []
    link.on_connection(changes.append)

    def fails(*_: object) -> None:
        raise RuntimeError("a handler's own fault")

    link.subscribe(ALARM, None, fails)
    link.start()
    other = Identity(DeviceId("other"), SystemClock())
    wait_until(lambda: link.connected)
    setting.peer.publish(ALARM.of(other.device), encode(alarm(other)), 1)
    wait_until(lambda: link.metrics.received >= 2)
    assert link.connected
    assert changes == [True]


def test_a_message_beyond_the_limit_is_refused_before_it_is_numbered_away(setting: Setting) -> None:
    identity, link = setting.link()
    huge = Ack(**identity.live(), acked_boot=identity.boot, ranges=tuple((2**50, 2**50 + 1) for _ in range(3000)))
    with pytest.raises(MessageTooLarge):
        link.send_live(ACK, DEVICE, huge)
