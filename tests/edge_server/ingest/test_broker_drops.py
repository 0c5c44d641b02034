"""What a full queue of the broker drops is counted by its own word; what the inbox refuses is not even read."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from edge_server.bus import Bus
from edge_server.ingest.broker_drops import TOPIC, BrokerDrops
from edge_server.ingest.inbox import Inbox
from edge_server.ingest.receiver import Receiver
from node.broker.mosquitto import MosquittoBroker
from node.broker.paho_client import PahoClient
from node.broker.port import Received
from node.clock import SystemClock
from protocol.codec import encode
from protocol.topics import ALARM, OBSERVATION
from sim_devices.fleet import wire

SENT = 40_000


def test_everything_that_mosquitto_drops_before_a_slow_reader_is_counted(
    mosquitto: MosquittoBroker, eventually: Callable[..., None]
) -> None:
    heard: list[bytes] = []
    may_read = threading.Event()

    def read(received: Received) -> None:
        may_read.wait(30.0)
        heard.append(received.payload)

    slow = PahoClient(mosquitto.address, "slow", keepalive_s=60)
    counting, drops = PahoClient(mosquitto.address, "us"), BrokerDrops()
    slow.subscribe("bulk", 0, read)
    drops.subscribe(counting)
    told: list[Received] = []
    counting.subscribe(TOPIC, 0, told.append)
    for client in (slow, counting):
        client.start()
    try:
        eventually(lambda: slow.connected and counting.connected and told)
        with socket.create_connection((mosquitto.address.host, mosquitto.address.port)) as flood:
            password = mosquitto.address.password or ""
            flood.sendall(wire.connect("flood", mosquitto.address.username or "", password, 60, ("will", b"x")))
            assert flood.recv(4) == b"\x20\x02\x00\x00"
            answers = threading.Thread(target=lambda: _read_out(flood))
            answers.start()
            message = b"x" * 500
            for first in range(0, SENT, 100):
                flood.sendall(b"".join(wire.publish("bulk", message, first + more + 1) for more in range(100)))
            eventually(lambda: drops.count > 0)
            may_read.set()
            eventually(lambda: len(heard) + drops.count == SENT)
            flood.shutdown(socket.SHUT_RDWR)
            answers.join()
    finally:
        may_read.set()
        slow.stop()
        counting.stop()


def test_a_count_that_begins_anew_with_the_broker_is_added_up() -> None:
    drops = BrokerDrops()
    for payload in (b"7", b"9", b"no number", b"0", b"4"):
        drops.take(Received(TOPIC, payload, False))
    assert drops.count == 6


def test_telemetry_for_which_there_is_no_room_is_refused_unread_and_alarms_are_taken(device) -> None:
    inbox = Inbox(limit=1)
    receiver = Receiver(inbox, Bus(), SystemClock())
    topic = OBSERVATION.of(device.name, "north-1")
    receiver.shed(Received(topic, encode(device.observation()), False))
    receiver.shed(Received(topic, b"not even looked at", False))
    assert (inbox.shed, len(inbox), receiver.received, dict(receiver.rejected)) == (1, 1, 2, {})
    assert list(receiver.heard()) == [device.name], "who is refused is not silent"
    receiver.take(Received(ALARM.of(device.name), encode(device.alarm()), False))
    assert len(inbox) == 2


def _read_out(wire: socket.socket) -> None:
    while wire.recv(65_536):
        pass
