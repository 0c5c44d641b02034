"""The outbox on a disk that is full, damaged, or from another time."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from node.broker.memory import MemoryBroker
from node.clock import ManualClock, SystemClock
from node.errors import OutboxDiskFull, OutboxInUse, StoreDamaged, StoreNewer
from node.identity import Identity
from node.link import Link, death_will
from node.outbox.entry import Limits
from node.outbox.outbox import Outbox
from node.outbox.queue import Loss
from node.outbox.store import OutboxStore
from node.sqlite import connect, connect_or_set_aside
from protocol.codec import decode
from protocol.ids import BootId, DeviceId
from protocol.messages import Alarm, Birth
from protocol.topics import ALARM

FIRST, SECOND = BootId("1" * 16), BootId("2" * 16)


def no_report(loss: Loss) -> tuple[int, str, bytes]:
    raise AssertionError(f"nothing was to be lost: {loss}")


def drained(outbox: Outbox) -> list[tuple[str, int, bytes]]:
    """Everything that it still has to say, as an edge that acknowledges at once would hear it."""
    outbox.set_link(True)
    heard: list[tuple[str, int, bytes]] = []
    while entries := outbox.take(100):
        for entry in entries:
            assert entry.payload is not None
            heard.append((entry.boot, entry.seq, entry.payload))
            outbox.acked(entry.boot, ((entry.seq, entry.seq),))
    return heard


def full(store: OutboxStore) -> None:
    """From now on the file may not grow, as on a full disk."""
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")


def roomy(store: OutboxStore) -> None:
    store._connection.execute("PRAGMA max_page_count = 1000000")


def test_rows_of_an_earlier_boot_keep_their_boot_and_number(tmp_path: Path) -> None:
    first = Outbox(FIRST, ManualClock(), OutboxStore(tmp_path / "o.db"))
    for seq in (1, 2, 3):
        first.put("alarm", "t", seq, b"%d" % seq)
    first.close()
    # The clock runs backwards across the reboot; nothing depends on it.
    second = Outbox(SECOND, ManualClock(monotonic_ms=5, wall_ms=0), OutboxStore(tmp_path / "o.db"))
    second.put("alarm", "t", 1, b"new")
    assert drained(second) == [(FIRST, 1, b"1"), (FIRST, 2, b"2"), (FIRST, 3, b"3"), (SECOND, 1, b"new")]
    second.close()
    third = Outbox(SECOND, ManualClock(), OutboxStore(tmp_path / "o.db"))
    assert drained(third) == []
    third.close()


def test_a_stop_in_good_order_keeps_what_only_memory_held(tmp_path: Path) -> None:
    first = Outbox(FIRST, ManualClock(), OutboxStore(tmp_path / "o.db"))
    first.put("telemetry", "t", 1, b"one")
    first.put("state", "s", 2, b"two")
    first.put("telemetry", "t", 3, b"three")
    first.acked(FIRST, ((1, 1),))
    first.close()
    second = Outbox(SECOND, ManualClock(), OutboxStore(tmp_path / "o.db"))
    assert sorted(drained(second)) == [(FIRST, 2, b"two"), (FIRST, 3, b"three")]
    second.tick(no_report)
    second.close()


def test_after_close_it_says_that_nothing_is_kept(tmp_path: Path) -> None:
    outbox = Outbox(FIRST, ManualClock(), OutboxStore(tmp_path / "o.db"))
    outbox.close()
    assert outbox.put("alarm", "t", 1, b"x") is False
    assert outbox.put("alarm", "t", 2, b"x", wait=True) is False


def test_a_full_disk_keeps_alarms_in_memory_until_there_is_room(tmp_path: Path) -> None:
    clock = ManualClock()
    store = OutboxStore(tmp_path / "o.db")
    outbox = Outbox(FIRST, clock, store)
    full(store)
    for seq in range(1, 41):
        outbox.put("alarm", "t", seq, b"x" * 500)
    assert isinstance(outbox.fault, OutboxDiskFull)
    assert outbox.metrics.queued == 40
    roomy(store)
    clock.advance(Limits().retry_disk_ms)
    outbox.tick(no_report)
    assert outbox.fault is None
    outbox.close()
    again = Outbox(SECOND, clock, OutboxStore(tmp_path / "o.db"))
    assert len(drained(again)) == 40
    again.close()


def test_a_full_disk_is_told_once_and_cleared_once(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    broker = MemoryBroker()
    broker.start()
    heard: list[Alarm] = []
    peer = broker.client("peer")
    peer.subscribe(ALARM.every(), 1, lambda received: heard.append(decode(ALARM, received.payload)))
    peer.start()
    identity = Identity(DeviceId("a"), SystemClock())
    store = OutboxStore(tmp_path / "o.db")
    outbox = Outbox(identity.boot, SystemClock(), store, Limits(retry_disk_ms=50))
    client = broker.client("a", death_will(identity))
    link = Link(identity, client, outbox, birth=lambda: Birth(**identity.live(), role="agent", software="test"))
    link.start()
    wait_until(lambda: link.connected)
    full(store)

    def say(count: int) -> None:
        for _ in range(count):
            text = "x" * 400
            link.send(
                ALARM,
                Alarm(**identity.accounted(), alarm="test", subject="a", severity="info", active=True, text=text),
            )

    say(20)
    wait_until(lambda: any(one.alarm == "outbox-disk" and one.active for one in heard))
    roomy(store)
    wait_until(lambda: any(one.alarm == "outbox-disk" and not one.active for one in heard))
    told = [one for one in heard if one.alarm == "outbox-disk"]
    link.stop()
    peer.stop()
    assert len({one.seq for one in heard if one.alarm == "test"}) == 20, "alarms pass while the disk is full"
    assert len({one.seq for one in told}) == 2
    assert told[0].code == "KF44"


@pytest.mark.parametrize("seed", range(25))
def test_a_damaged_file_is_set_aside_and_never_fatal(tmp_path: Path, seed: int) -> None:
    """Random pages overwritten: either the rows are still what was said, or the file stands aside; never an error."""
    path = tmp_path / "o.db"
    first = Outbox(FIRST, ManualClock(), OutboxStore(path))
    said = {(FIRST, seq, b"%d" % seq * 300) for seq in range(1, 60)}
    for _, seq, payload in sorted(said):
        first.put("alarm", "t", seq, payload)
    first.close()
    chance = random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(0, len(data) // 4096) * 4096 if seed % 5 else 0
        data[at : at + 4096] = chance.randbytes(4096)
    path.write_bytes(bytes(data))

    store = OutboxStore(path)
    second = Outbox(SECOND, ManualClock(), store)
    second.put("alarm", "t", 1, b"after")
    heard = drained(second)
    assert (SECOND, 1, b"after") in heard
    aside = list(tmp_path.glob("o.db.corrupt-?"))
    assert aside == store.set_aside
    assert second.metrics.set_aside == len(aside)
    second.close()


def test_damage_found_while_running_is_survived_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    clock = ManualClock()
    store = OutboxStore(path)
    outbox = Outbox(FIRST, clock, store)
    for seq in range(1, 200):
        outbox.put("alarm", "t", seq, b"x" * 400)
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[4096:] = random.Random(1).randbytes(len(data) - 4096)
    path.write_bytes(bytes(data))
    store._connection.execute("PRAGMA cache_size = 0")
    reported: list[Loss] = []

    def report(loss: Loss) -> tuple[int, str, bytes]:
        reported.append(loss)
        return 1_000 + len(reported), "gap", b"gap"

    outbox.put("alarm", "t", 200, b"after")
    heard = drained(outbox)
    assert (FIRST, 200, b"after") in heard
    clock.advance(5_000)
    outbox.tick(report)
    lost = {seq for loss in reported for first, last in loss.ranges for seq in range(first, last + 1)}
    assert {seq for _, seq, _ in heard} | lost >= set(range(1, 201))
    assert {loss.reason for loss in reported} <= {"corrupt"}
    assert outbox.metrics.set_aside == 1
    outbox.close()


def test_a_file_that_is_not_sqlite_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    path.write_bytes(b"this is no database, but long enough to be looked at" * 100)
    with pytest.raises(StoreDamaged):
        connect(path, newest=1)
    connection, aside = connect_or_set_aside(path, newest=1)
    connection.close()
    assert aside == tmp_path / "o.db.corrupt-1"
    path.write_bytes(b"and again" * 1_000)
    connection, aside = connect_or_set_aside(path, newest=1)
    connection.close()
    assert aside == tmp_path / "o.db.corrupt-2"


def test_a_file_from_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    with sqlite3.connect(path) as sql:
        sql.execute("PRAGMA user_version = 7")
    sql.close()
    with pytest.raises(StoreNewer, match="KF51"):
        OutboxStore(path)
    assert path.exists()
    assert not list(tmp_path.glob("*.corrupt-*"))


def test_two_processes_can_not_share_an_outbox(tmp_path: Path) -> None:
    first = OutboxStore(tmp_path / "o.db")
    with pytest.raises(OutboxInUse, match="KF46"):
        OutboxStore(tmp_path / "o.db")
    first.close()
    OutboxStore(tmp_path / "o.db").close()


def test_files_are_opened_for_safety(tmp_path: Path) -> None:
    connection = connect(tmp_path / "deep" / "o.db", newest=1, synchronous="FULL")
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    connection.close()
