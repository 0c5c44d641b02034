"""Rows go in by ingest and come out by the reader, and by any other program that speaks SQL."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_server.fleet.device import Device as Known
from edge_server.ingest.core import Arrival, State, absorb
from edge_server.store.rows import LogEntry
from edge_server.store.store import Store, write_devices, write_effects, write_lines
from node.clock import ManualClock
from protocol.ids import ApproachId
from protocol.messages import Gap, Message

MINUTE_MS = 60_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "edge.db")
    yield store
    store.close()


def keep(store: Store, clock: ManualClock, *messages: Message, state: State | None = None) -> State:
    arrivals = [Arrival(one, clock.wall_ms(), clock.monotonic_ms()) for one in messages]
    state, effects = absorb(state or State(), arrivals)
    store.transaction(lambda connection: write_effects(connection, effects))
    return state


def test_standing_alarms_are_those_raised_and_not_cleared(store: Store, make_device, clock: ManualClock) -> None:
    device = make_device(clock=clock)
    keep(store, clock, device.alarm(), device.alarm(alarm="road-moved"), device.alarm(active=False))
    assert [(one.alarm, one.active, one.seq) for one in store.reader.alarms()] == [
        ("camera-stalled", False, 3),
        ("road-moved", True, 2),
        ("camera-stalled", True, 1),
    ]
    assert [one.alarm for one in store.reader.alarms(active=True)] == ["road-moved"]
    newest = store.reader.alarms()[0].id
    assert [one.seq for one in store.reader.alarms(before=newest)] == [2, 1]
    assert store.reader.alarm(newest) == store.reader.alarms()[0]
    assert store.reader.alarm(newest + 1) is None


def test_history_is_in_the_edge_servers_time_and_thinned_as_asked(
    store: Store, make_device, clock: ManualClock
) -> None:
    theirs = ManualClock(wall_ms=5)
    device = make_device(clock=theirs)
    state = keep(store, clock, device.birth())
    for number in range(20):
        state = keep(store, clock, device.observation(index=number / 20), state=state)
        theirs.advance(500)
        clock.advance(500)
    now_ms = clock.wall_ms()
    points = store.reader.history(ApproachId("north"), now_ms - MINUTE_MS)
    assert [point.index for point in points] == [number / 20 for number in range(20)]
    assert all(now_ms - 11_000 < point.captured_ms < now_ms for point in points)
    every_second = store.reader.history(ApproachId("north"), now_ms - MINUTE_MS, step_ms=1_000)
    assert 10 <= len(every_second) <= 11
    assert store.reader.history(ApproachId("south"), 0) == []
    assert [one.index for one in store.reader.latest()] == [19 / 20]


def test_the_latest_health_wins_even_when_an_older_one_comes_late(
    store: Store, make_device, clock: ManualClock
) -> None:
    device = make_device(clock=clock)
    first, second = device.health(), device.health()
    state = keep(store, clock, second)
    keep(store, clock, first, state=state)
    assert store.reader.health()[device.name].seq == second.seq


def test_a_gap_has_its_reason_and_one_number_can_be_taken_back(store: Store, make_device, clock: ManualClock) -> None:
    device = make_device(clock=clock)
    alarms = [device.alarm() for _ in range(5)]
    gap = Gap(**device.identity.accounted(), gap_boot=device.identity.boot, ranges=((2, 4),), reason="disk-full")
    state = keep(store, clock, alarms[0], gap)
    keep(store, clock, alarms[2], state=state)
    assert [(one.first, one.last, one.reason) for one in sorted(store.reader.gaps(), key=lambda one: one.first)] == [
        (2, 2, "disk-full"),
        (4, 4, "disk-full"),
    ]


def test_devices_and_the_event_log_come_back_as_they_went_in(store: Store, make_device, clock: ManualClock) -> None:
    birth = make_device().birth()
    known = Known(
        device=birth.source, boot=birth.boot, role="agent", state="online", software="1", cameras=birth.cameras
    )
    line = LogEntry(at_ms=7, kind="device-online", device="cam-1", subject="cam-1", text="cam-1 is here")
    logged: list[LogEntry] = []
    store.transaction(lambda connection: write_devices(connection, [known], []))
    store.transaction(lambda connection: logged.extend(write_lines(connection, [line])))
    assert store.reader.devices() == [known]
    assert store.reader.events() == logged
    store.transaction(lambda connection: write_devices(connection, [], [known.device]))
    assert store.reader.devices() == []


def test_the_queries_of_the_documentation_work(store: Store, make_device, clock: ManualClock, repository: Path) -> None:
    """By the standard library's sqlite3, as any program from outside would."""
    device = make_device(clock=clock)
    state = keep(store, clock, device.birth(), device.alarm(), device.observation())
    clock.advance(40_000)
    keep(store, clock, device.health(), state=state)
    text = (repository / "docs" / "store.md").read_text("utf-8")
    queries = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    assert len(queries) >= 4
    with closing(sqlite3.connect(f"file:{store.path}?mode=ro", uri=True)) as outside:
        for query in queries:
            outside.execute(query).fetchall()
        standing = outside.execute(queries[0]).fetchall()
    assert len(standing) == 1
    assert "camera-stalled" in standing[0]


def test_every_table_and_column_is_documented(store: Store, repository: Path) -> None:
    text = (repository / "docs" / "store.md").read_text("utf-8")
    with closing(sqlite3.connect(store.path)) as outside:
        tables = [row[0] for row in outside.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            section = re.search(rf"^## `{table}`\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
            assert section, f"docs/store.md has no section `{table}`"
            for column in outside.execute(f"SELECT name FROM pragma_table_info('{table}')"):
                assert f"`{column[0]}`" in section[1], f"{table}.{column[0]} is not explained"
