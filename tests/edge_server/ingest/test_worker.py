"""The worker on a real store, behind the in-memory broker: what is acknowledged is stored, whatever goes wrong."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from edge_server.bus import Bus
from edge_server.events import AlarmReceived, Event, HeartbeatReceived, Logged, ObservationReceived
from edge_server.ingest.acks import Acks
from edge_server.ingest.inbox import Inbox
from edge_server.ingest.receiver import Receiver
from edge_server.ingest.worker import IngestWorker
from edge_server.store.retention import Limits
from edge_server.store.room import NO_STAGES, Marks
from edge_server.store.rows import Correction, SignalEntry
from edge_server.store.store import Store
from edge_server.store.writer import StoreWriter
from node.broker.memory import MemoryBroker, MemoryClient
from node.broker.port import Received
from node.clock import Clock, SystemClock
from node.identity import Identity
from protocol.codec import decode, encode
from protocol.ids import DeviceId, IntersectionId
from protocol.messages import Ack, Birth, Death, Heartbeat, Message
from protocol.topics import ACK, ALARM, HEALTH, HEARTBEAT, OBSERVATION, PRESENCE, Topic


class FaultyStore(Store):
    """A real store whose commits fail with `fault` while it is set, and for want of room while `full_while` exists."""

    fault: int | None = None
    full_while: Path | None = None

    def transaction(self, write: Callable[[sqlite3.Connection], object]) -> None:
        full = self.full_while is not None and self.full_while.exists()
        if self.fault is not None or full:
            error = sqlite3.OperationalError("told to fail")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL if full else self.fault
            raise error
        super().transaction(write)


class Edge:
    """What server.py puts together, without signals and the door."""

    def __init__(
        self,
        broker: MemoryBroker,
        path: Path,
        limit: int = 10_000,
        clock: Clock | None = None,
        *,
        marks: Marks = NO_STAGES,
    ) -> None:
        self.bus = Bus()
        self.heard: list[Event] = []
        self.bus.subscribe(self.heard.append)
        self.store = FaultyStore(path)
        self.identity = Identity(DeviceId("edge"), clock or SystemClock())
        self.client = broker.client(f"edge-{self.identity.boot}")
        inbox = Inbox(limit)
        receiver = Receiver(inbox, self.bus, self.identity.clock)
        acks = Acks(self.client, self.identity)
        self.worker = IngestWorker(
            self.store, inbox, receiver, acks, self.bus, self.identity, limits=Limits(), marks=marks
        )
        self.write = StoreWriter(self.worker.submit, self.bus)
        receiver.subscribe(self.client)

    def start(self) -> Edge:
        self.worker.start()
        self.client.start()
        return self

    def stop(self) -> None:
        self.client.stop()
        self.worker.stop()
        self.bus.close()

    def numbers(self, table: str = "alarms") -> list[int]:
        with closing(sqlite3.connect(self.store.path)) as store:
            return [row[0] for row in store.execute(f"SELECT seq FROM {table} WHERE source <> 'edge' ORDER BY seq")]


class Mouth:
    """A device's connection: sends what it is given, keeps what was acknowledged."""

    def __init__(self, broker: MemoryBroker, device) -> None:
        self.device = device
        self.acked: set[int] = set()
        self.client: MemoryClient = broker.client(device.name)
        self.client.subscribe(ACK.of(device.name), 0, self._acked)
        self.client.start()

    def say(self, topic: Topic, message: Message, item: str = "") -> None:
        assert self.client.publish(topic.of(self.device.name, item), encode(message), topic.qos, topic.retained)

    def alarm(self) -> int:
        message = self.device.alarm()
        self.say(ALARM, message)
        return message.seq

    def observe(self) -> int:
        message = self.device.observation()
        self.say(OBSERVATION, message, "north-1")
        return message.seq

    def _acked(self, received: Received) -> None:
        ack = decode(ACK, received.payload)
        assert isinstance(ack, Ack)
        assert ack.acked_boot == self.device.identity.boot
        self.acked |= {seq for first, last in ack.ranges for seq in range(first, last + 1)}


@pytest.fixture
def broker() -> Iterator[MemoryBroker]:
    broker = MemoryBroker()
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def edge(broker: MemoryBroker, tmp_path: Path, eventually: Callable[..., None]) -> Iterator[Edge]:
    edge = Edge(broker, tmp_path / "edge.db").start()
    eventually(lambda: edge.client.connected)
    yield edge
    edge.stop()


@pytest.fixture
def mouth(broker: MemoryBroker, device, eventually: Callable[..., None]) -> Iterator[Mouth]:
    mouth = Mouth(broker, device)
    eventually(lambda: mouth.client.connected)
    yield mouth
    mouth.client.stop()


def test_what_comes_is_stored_shown_and_acknowledged(edge: Edge, mouth: Mouth, eventually) -> None:
    mouth.say(PRESENCE, mouth.device.birth())
    seen, told = mouth.observe(), mouth.alarm()
    health = mouth.device.health()
    mouth.say(HEALTH, health)
    eventually(lambda: mouth.acked == {seen, told, health.seq})
    assert edge.numbers("observations") == [seen]
    assert edge.numbers() == [told]
    assert edge.store.reader.health() == {mouth.device.name: health}
    eventually(lambda: any(isinstance(one, AlarmReceived) for one in edge.heard))
    assert next(one for one in edge.heard if isinstance(one, ObservationReceived)).live
    eventually(edge.store.reader.devices)
    assert edge.worker.devices[mouth.device.name].state == "online"
    eventually(lambda: [one.entry.kind for one in edge.heard if isinstance(one, Logged)] == ["device-online"])


def test_a_repeated_message_is_acknowledged_again_also_after_a_restart(
    broker: MemoryBroker, edge: Edge, mouth: Mouth, eventually
) -> None:
    message = mouth.device.alarm()
    mouth.say(ALARM, message)
    eventually(lambda: mouth.acked == {message.seq})
    edge.stop()
    again = Edge(broker, edge.store.path).start()
    try:
        eventually(lambda: again.client.connected)
        mouth.acked.clear()
        mouth.say(ALARM, message)
        eventually(lambda: mouth.acked == {message.seq})
        assert again.numbers() == [message.seq]
        assert again.worker.figures().duplicates == 1
        assert not [one for one in again.heard if isinstance(one, AlarmReceived)]
    finally:
        again.stop()


def test_who_does_not_come_again_after_a_restart_is_not_online_in_the_store(
    broker: MemoryBroker, mouth: Mouth, tmp_path: Path, eventually
) -> None:
    path = tmp_path / "edge.db"

    def state() -> str:
        with closing(sqlite3.connect(path)) as store:
            return next((row[0] for row in store.execute("SELECT state FROM devices")), "")

    first = Edge(broker, path).start()
    eventually(lambda: first.client.connected)
    mouth.say(PRESENCE, mouth.device.birth())
    eventually(lambda: state() == "online")
    first.stop()
    assert state() == "online"
    # The broker ended with its edge server, and has forgotten who was there.
    empty = MemoryBroker()
    empty.start()
    second = Edge(empty, path).start()
    try:
        eventually(lambda: state() == "offline")
    finally:
        second.stop()
        empty.stop()


def test_bad_messages_are_counted_sampled_and_harmless(edge: Edge, mouth: Mouth, eventually) -> None:
    topic = ALARM.of(mouth.device.name)
    good = encode(mouth.device.alarm())
    bad = {
        "KF11": [b"\xff\xfe{", b"{}", b"[" * 5_000, good.replace(b"cam-1", b"cam\\u0000-1", 1), b""],
        "KF12": [b" " * 200_000],
        "KF13": [good.replace(b'"v":1', b'"v":2')],
        "KF14": [good.replace(b'"source":"cam-1"', b'"source":"cam-2"')],
    }
    for payloads in bad.values():
        for payload in payloads:
            assert mouth.client.publish(topic, payload, 1)
    seq = mouth.alarm()
    eventually(lambda: mouth.acked == {seq})
    assert edge.worker.figures().rejected == {code: len(payloads) for code, payloads in bad.items()}
    with closing(sqlite3.connect(edge.store.path)) as store:
        kept = store.execute("SELECT code, length(sample), size_bytes FROM rejects").fetchall()
    assert sorted(code for code, _, _ in kept) == sorted(code for code, all_of in bad.items() for _ in all_of)
    assert ("KF12", 1_000, 200_000) in kept


def test_a_full_disk_loses_nothing_and_storing_resumes(edge: Edge, mouth: Mouth, eventually, monkeypatch) -> None:
    monkeypatch.setattr("edge_server.ingest.worker.PROBE_MS", 50)
    mouth.say(PRESENCE, mouth.device.birth())
    before = mouth.alarm()
    eventually(lambda: mouth.acked == {before})
    edge.store.fault = sqlite3.SQLITE_FULL
    alarm, seen = mouth.device.alarm(), mouth.device.observation()

    def send_both() -> None:
        mouth.say(ALARM, alarm)
        mouth.say(OBSERVATION, seen, "north-1")

    send_both()
    eventually(lambda: edge.worker.figures().disk_full)
    raised = [one.alarm for one in edge.heard if isinstance(one, AlarmReceived) and one.alarm.source == "edge"]
    assert [(one.alarm, one.active, one.code) for one in raised] == [("store-unwritable", True, "KF75")]
    eventually(lambda: any(isinstance(one, ObservationReceived) for one in edge.heard))
    assert mouth.acked == {before}
    edge.store.fault = None

    def acknowledged() -> bool:
        send_both()  # as an outbox does, again and again
        return mouth.acked == {before, alarm.seq, seen.seq}

    eventually(acknowledged)
    assert edge.numbers() == [before, alarm.seq]
    assert edge.numbers("observations") == [seen.seq]
    eventually(lambda: [one.active for one in edge.store.reader.alarms() if one.source == "edge"] == [False, True])
    assert not edge.worker.figures().disk_full


def test_a_commit_that_finds_no_room_is_made_in_the_reserves_place(
    broker: MemoryBroker, tmp_path: Path, mouth: Mouth, eventually
) -> None:
    """Between two looks at the disk; nothing of the batch is lost, a command's record no more than an alarm."""
    edge = Edge(broker, tmp_path / "full.db", marks=Marks(low_mb=0.001)).start()
    reserve = tmp_path / "reserve"
    try:
        eventually(lambda: edge.client.connected and reserve.exists())
        edge.store.full_while = reserve
        now_ms, x1 = edge.identity.clock.wall_ms(), IntersectionId("x1")
        entry = SignalEntry(at_ms=now_ms, intersection=x1, controller="c", phases=(2,), reason="q")
        edge.write.append_signal(entry)
        told = mouth.alarm()
        eventually(lambda: mouth.acked == {told})
        assert edge.numbers() == [told]
        eventually(lambda: edge.store.reader.signal_log(x1))
        eventually(lambda: "KF216" in [one.code for one in edge.store.reader.alarms() if one.source == "edge"])
    finally:
        edge.stop()


def test_a_store_that_breaks_while_in_use_is_set_aside_once(edge: Edge, mouth: Mouth, eventually, monkeypatch) -> None:
    monkeypatch.setattr("edge_server.ingest.worker.PROBE_MS", 50)
    first = mouth.alarm()
    eventually(lambda: mouth.acked == {first})
    edge.store.fault = sqlite3.SQLITE_CORRUPT
    mouth.alarm()
    eventually(lambda: edge.worker.figures().disk_full)  # the fresh file breaks as well: no second one is made
    edge.store.fault = None
    third = mouth.device.alarm()

    def acknowledged() -> bool:
        mouth.say(ALARM, third)
        return third.seq in mouth.acked

    eventually(acknowledged)
    assert third.seq in edge.numbers()
    eventually(lambda: [one.code for one in edge.store.reader.alarms() if one.source == "edge"].count("KF77") == 1)
    assert len(list(edge.store.path.parent.glob("edge.db.corrupt-?"))) == 1


def test_too_much_at_once_sheds_readings_and_never_an_alarm(
    broker: MemoryBroker, tmp_path: Path, mouth: Mouth, eventually
) -> None:
    edge = Edge(broker, tmp_path / "small.db", limit=5)
    edge.client.start()
    eventually(lambda: edge.client.connected)
    alarms, seen = set(), set()
    for _ in range(20):
        seen.add(mouth.observe())
        alarms.add(mouth.alarm())
    eventually(lambda: edge.worker.figures().received == 40)
    assert edge.worker.figures().shed > 0
    edge.worker.start()
    eventually(lambda: alarms <= mouth.acked)
    edge.stop()
    assert set(edge.numbers()) == alarms
    assert set(edge.numbers("observations")) == mouth.acked & seen != seen


def test_a_heartbeat_goes_straight_to_the_bus(edge: Edge, broker: MemoryBroker, make_device, eventually) -> None:
    mouth = Mouth(broker, make_device("ctrl-1"))
    eventually(lambda: mouth.client.connected)
    beat = Heartbeat(
        **mouth.device.identity.live(), intersection=IntersectionId("x1"), counter=1, control="local", phases=(),
        target=(), highest_epoch=0,
    )  # fmt: skip
    mouth.say(HEARTBEAT, beat)
    eventually(lambda: [one.heartbeat for one in edge.heard if isinstance(one, HeartbeatReceived)] == [beat])
    mouth.client.stop()


def test_people_and_signals_write_through_the_same_thread(edge: Edge, eventually) -> None:
    kept = edge.write.add_correction(Correction(made_ms=1, mistake="wrong-class", said="jam", congestion="free"))
    assert edge.store.reader.corrections() == [kept]
    assert edge.write.delete_correction(kept.id)
    assert not edge.write.delete_correction(kept.id)
    entry = SignalEntry(
        at_ms=5, intersection=IntersectionId("x1"), controller="max-pressure", phases=(2, 6), reason="q"
    )
    edge.write.append_signal(entry)
    eventually(lambda: [one.phases for one in edge.store.reader.signal_log(IntersectionId("x1"))] == [(2, 6)])


class WrongClock(SystemClock):
    ahead_ms = 0

    def wall_ms(self) -> int:
        return super().wall_ms() + self.ahead_ms


def active(edge: Edge) -> list[str]:
    return [one.alarm for one in edge.store.reader.alarms(active=True)]


def test_a_clock_that_jumps_years_ahead_makes_the_store_forget_nothing(
    broker: MemoryBroker, tmp_path: Path, device, eventually
) -> None:
    clock = WrongClock()
    edge = Edge(broker, tmp_path / "edge.db", clock=clock).start()
    mouth = Mouth(broker, device)
    try:
        eventually(lambda: edge.client.connected and mouth.client.connected)
        before = [mouth.observe(), mouth.alarm()]
        eventually(lambda: mouth.acked == set(before))
        clock.ahead_ms = 3 * 365 * 24 * 3_600_000
        eventually(lambda: "clock-ahead" in active(edge))
        edge.stop()
        edge = Edge(broker, edge.store.path, clock=clock).start()
        eventually(lambda: edge.client.connected)
        later = mouth.observe()
        eventually(lambda: later in mouth.acked)
        ticks = clock.monotonic_ms()
        eventually(lambda: clock.monotonic_ms() > ticks + 2_500)  # two looks at what is too old
        assert edge.numbers("observations") == [before[0], later]
        assert edge.numbers() == [before[1]]
        clock.ahead_ms = 0
        eventually(lambda: "clock-ahead" not in active(edge))
        assert edge.numbers() == [before[1]]
        with closing(sqlite3.connect(edge.store.path)) as store:
            for query in ("SELECT max(received_ms) FROM alarms", "SELECT max(captured_ms) FROM observations"):
                assert store.execute(query).fetchone()[0] <= clock.wall_ms(), query
    finally:
        mouth.client.stop()
        edge.stop()


def test_a_second_edge_server_raises_an_alarm_until_it_is_gone(
    edge: Edge, broker: MemoryBroker, make_device, eventually
) -> None:
    other = Mouth(broker, make_device("edge-other"))
    eventually(lambda: other.client.connected)
    identity = other.device.identity
    other.say(PRESENCE, Birth(**identity.live(), role="edge", software="1"))
    eventually(lambda: [one.alarm for one in edge.store.reader.alarms(active=True)] == ["second-edge"])
    assert edge.store.reader.alarms()[0].code == "KF76"
    other.say(PRESENCE, Death(**identity.live(), reason="shutdown"))
    eventually(lambda: edge.store.reader.alarms(active=True) == [])
    other.client.stop()


def test_clearing_a_registration_forgets_the_device(edge: Edge, mouth: Mouth, eventually) -> None:
    mouth.say(PRESENCE, mouth.device.birth())
    eventually(edge.store.reader.devices)
    assert mouth.client.publish(PRESENCE.of(mouth.device.name), b"", 1, retained=True)
    eventually(lambda: not edge.store.reader.devices())
    assert mouth.device.name not in edge.worker.devices


def fill(path: Path) -> None:
    """Write until the disk has no room."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_that_is_really_full(broker: MemoryBroker, tmp_path: Path, device, eventually, monkeypatch) -> None:
    monkeypatch.setattr("edge_server.ingest.worker.PROBE_MS", 50)
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("this container may not mount")
    try:
        edge = Edge(broker, disk / "edge.db").start()
        mouth = Mouth(broker, device)
        eventually(lambda: edge.client.connected and mouth.client.connected)
        first = mouth.alarm()
        eventually(lambda: mouth.acked == {first})
        ballast = disk / "ballast"
        fill(ballast)
        sent: list[Message] = []
        while not edge.worker.figures().disk_full:
            sent.append(mouth.device.alarm())
            mouth.say(ALARM, sent[-1])
            eventually(lambda: edge.worker.figures().disk_full or sent[-1].seq in mouth.acked)
        assert set(edge.numbers()) >= mouth.acked
        ballast.unlink()
        for message in sent:
            mouth.say(ALARM, message)
        eventually(lambda: {one.seq for one in sent} <= mouth.acked)
        assert edge.numbers() == [first, *(one.seq for one in sent)]
        edge.stop()
        mouth.client.stop()
    finally:
        subprocess.run(["umount", "-l", disk], check=False)
