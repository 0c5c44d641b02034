"""Two brokers as one: where things go, and what a broker that a device has left may say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge_server.pair.lines import Lines
from node.broker.memory import MemoryBroker
from node.broker.port import Received
from protocol.codec import decode, encode
from protocol.ids import DeviceId
from protocol.messages import Birth, Death
from protocol.topics import ACK, ALARM, CONFIG_COMMAND, PRESENCE

CAM = DeviceId("cam-1")


class Pair:
    def __init__(self, eventually) -> None:
        self.eventually = eventually
        self.brokers = {"own": MemoryBroker(), "peer": MemoryBroker()}
        for broker in self.brokers.values():
            broker.start()
        clients = [broker.client("edge-1") for broker in self.brokers.values()]
        self.lines = Lines(DeviceId("edge-1"), *clients)
        self.told: list[Received] = []
        self.heard: list[Received] = []
        self.lines.subscribe(PRESENCE.every(), 1, self.told.append)
        self.lines.subscribe(ALARM.every(), 1, self.heard.append)
        self.lines.start()
        eventually(lambda: self.lines.connected and self.lines.peer_connected)
        self.marks = 0

    def say(self, line: str, topic: str, payload: bytes, retained: bool = False) -> None:
        """Say it, and return once it has been taken in."""
        self.brokers[line].deliver(topic, payload, retained)
        self.marks += 1
        mark = ALARM.of(DeviceId(f"mark-{self.marks}"))
        self.brokers[line].deliver(mark, b"", False)
        self.eventually(lambda: any(one.topic == mark for one in self.heard))

    def presence(self, line: str, message: Birth | Death) -> None:
        self.say(line, PRESENCE.of(CAM), encode(message), retained=True)

    def believed(self) -> list[str]:
        return [type(decode(PRESENCE, one.payload)).__name__ for one in self.told if one.payload]

    def arrived(self, line: str, topic: str) -> list[Received]:
        got: list[Received] = []
        client = self.brokers[line].client(f"listener-{line}")
        client.subscribe(topic, 1, got.append)
        client.start()
        self.eventually(lambda: client.connected)
        return got

    def close(self) -> None:
        self.lines.stop()
        for broker in self.brokers.values():
            broker.stop()


@pytest.fixture
def pair(eventually) -> Iterator[Pair]:
    pair = Pair(eventually)
    yield pair
    pair.close()


def dead(device) -> Death:
    return Death(**device.identity.live(), reason="will")


def test_what_is_said_to_a_device_goes_where_it_is(pair: Pair, device, eventually) -> None:
    own, peer = (pair.arrived(line, ACK.of(CAM)) for line in ("own", "peer"))
    assert pair.lines.publish(ACK.of(CAM), b"anywhere", 0)
    eventually(lambda: own and peer)
    pair.presence("peer", device.birth())
    assert pair.lines.publish(ACK.of(CAM), b"there", 0)
    eventually(lambda: any(one.payload == b"there" for one in peer))
    pair.say("own", ALARM.of(CAM), b"I moved")
    assert pair.lines.publish(ACK.of(CAM), b"here", 0)
    eventually(lambda: any(one.payload == b"here" for one in own))
    assert [one.payload for one in own] == [b"anywhere", b"here"]
    assert [one.payload for one in peer] == [b"anywhere", b"there"]


def test_what_is_retained_goes_to_both(pair: Pair, device, eventually) -> None:
    pair.presence("own", device.birth())
    assert pair.lines.publish(CONFIG_COMMAND.of(CAM, "x"), b"{}", 1, retained=True)
    for line in ("own", "peer"):
        got = pair.arrived(line, CONFIG_COMMAND.of(CAM, "x"))
        eventually(lambda got=got: got)
        assert got[0].retained


def test_the_will_on_the_broker_that_a_device_has_left_buries_nobody(pair: Pair, device) -> None:
    pair.presence("peer", device.birth())
    pair.presence("own", device.birth())
    pair.presence("peer", dead(device))
    assert pair.believed() == ["Birth", "Birth"]
    pair.presence("own", dead(device))
    assert pair.believed() == ["Birth", "Birth", "Death"]


def test_a_birth_that_was_retained_where_a_device_was_does_not_bring_its_earlier_boot_back(
    pair: Pair, device, make_device, eventually
) -> None:
    pair.presence("peer", device.birth())
    again = make_device()
    pair.presence("own", again.birth())
    stale = pair.brokers["peer"]
    stale.stop()
    eventually(lambda: not pair.lines.peer_connected)
    stale.deliver(PRESENCE.of(CAM), encode(device.birth()), retained=True)  # it comes back with what it kept
    stale.start()
    eventually(lambda: pair.lines.peer_connected)
    pair.say("peer", ALARM.of(DeviceId("cam-2")), b"all that was retained has come")
    pair.say("own", ALARM.of(CAM), b"here")
    assert [decode(PRESENCE, one.payload).boot for one in pair.told] == [device.identity.boot, again.identity.boot]


def test_who_speaks_from_elsewhere_is_known_by_the_birth_there(pair: Pair, device, make_device, eventually) -> None:
    old, new = make_device(), device
    for line, one in (("own", new), ("peer", old)):
        told = len(pair.told)
        pair.brokers[line].stop()
        pair.brokers[line].deliver(PRESENCE.of(CAM), encode(one.birth()), retained=True)
        pair.brokers[line].start()
        eventually(lambda told=told: len(pair.told) > told)
    pair.say("own", ALARM.of(CAM), b"it is I")
    assert decode(PRESENCE, pair.told[-1].payload).boot == new.identity.boot


def test_without_the_other_broker_everything_goes_to_our_own(pair: Pair, device, eventually) -> None:
    pair.presence("peer", device.birth())
    pair.brokers["peer"].stop()
    eventually(lambda: not pair.lines.peer_connected)
    own = pair.arrived("own", ACK.of(CAM))
    assert pair.lines.publish(ACK.of(CAM), b"x", 0)
    eventually(lambda: own)
    assert pair.lines.connected
