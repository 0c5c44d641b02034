from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_server.ingest.core import Arrival, State, absorb
from edge_server.store.retention import DAY_MS, HOUR_MS, ORDER, SLICE_ROWS, Held, Limits, Table, plan
from edge_server.store.store import Store, write_effects
from edge_server.store.sweep import size_mb, sweep
from node.clock import ManualClock


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "edge.db")
    yield store
    store.close()


def fill(store: Store, device, clock: ManualClock, state: State | None = None, count: int = 120) -> State:
    """An alarm, and observations of half a second each."""
    messages = [device.birth(), device.alarm()]
    state, effects = absorb(state or State(), [Arrival(one, clock.wall_ms(), clock.monotonic_ms()) for one in messages])
    for _ in range(count):
        clock.advance(500)
        arrival = Arrival(device.observation(), clock.wall_ms(), clock.monotonic_ms())
        state, more = absorb(state, [arrival])
        effects += more
    store.transaction(lambda connection: write_effects(connection, effects))
    return state


def sweep_all(store: Store, limits: Limits, now_ms: int) -> None:
    gone = [1]
    while gone[0]:
        store.transaction(lambda connection: gone.__setitem__(0, sweep(connection, limits, now_ms)))


def count(store: Store, table: str) -> int:
    found: list[int] = []
    store.transaction(lambda connection: found.extend(connection.execute(f"SELECT count(*) FROM {table}").fetchone()))
    return found[0]


def test_after_a_day_one_observation_in_ten_seconds_is_kept(store: Store, make_device, clock: ManualClock) -> None:
    device = make_device(clock=clock)
    state = fill(store, device, clock)
    sweep_all(store, Limits(), clock.wall_ms())
    assert count(store, "observations") == 120
    clock.advance(25 * HOUR_MS)
    fill(store, device, clock, state)
    sweep_all(store, Limits(), clock.wall_ms())
    assert 120 + 6 <= count(store, "observations") <= 120 + 7


def test_what_is_too_old_goes_and_alarms_stay_for_their_own_time(store: Store, make_device, clock: ManualClock) -> None:
    fill(store, make_device(clock=clock), clock)
    limits = Limits(observations_days=10, alarms_days=100)
    clock.advance(11 * DAY_MS)
    sweep_all(store, limits, clock.wall_ms())
    assert (count(store, "observations"), count(store, "alarms")) == (0, 1)
    clock.advance(100 * DAY_MS)
    sweep_all(store, limits, clock.wall_ms())
    assert count(store, "alarms") == 0


def test_too_large_a_store_gives_up_its_oldest_readings_and_no_alarm(
    store: Store, make_device, clock: ManualClock
) -> None:
    fill(store, make_device(clock=clock), clock, count=2_000)
    sizes: list[float] = []
    store.transaction(lambda connection: sizes.append(size_mb(connection)))
    sweep_all(store, Limits(size_mb=sizes[0] / 2), clock.wall_ms())
    assert count(store, "observations") < 2_000
    assert count(store, "alarms") == 1


NOW_MS = 1_000 * DAY_MS
TABLES = st.dictionaries(
    st.sampled_from(ORDER),
    st.lists(st.tuples(st.integers(0, NOW_MS), st.integers(1, 3 * SLICE_ROWS)), min_size=1, max_size=6),
)


class Model:
    """Tables as runs of rows of one time, oldest first: (time, count). Each row takes `row_mb` of its table."""

    def __init__(self, tables: dict[Table, list[tuple[int, int]]], row_mb: dict[Table, float]) -> None:
        self.runs = {table: deque(sorted(runs)) for table, runs in tables.items()}
        self._row_mb = row_mb

    def rows(self, table: Table) -> int:
        return sum(count for _, count in self.runs.get(table, ()))

    def size_mb(self) -> float:
        return sum(self.rows(table) * self._row_mb[table] for table in self.runs)

    def held(self) -> dict[Table, Held]:
        return {table: Held(self.rows(table), runs[0][0]) for table, runs in self.runs.items() if runs}

    def delete(self, table: Table, rows: int, before_ms: int | None) -> list[tuple[int, int]]:
        gone, runs = [], self.runs[table]
        while rows and runs and (before_ms is None or runs[0][0] < before_ms):
            at_ms, count = runs.popleft()
            took = min(count, rows)
            if took < count:
                runs.appendleft((at_ms, count - took))
            gone.append((at_ms, took))
            rows -= took
        return gone


@given(TABLES, st.fixed_dictionaries(dict.fromkeys(ORDER, st.floats(1e-4, 1e-2))), st.floats(0.1, 200.0))
def test_alarms_of_the_kept_time_go_after_all_else_and_the_store_ends_within_its_bound(
    tables: dict[Table, list[tuple[int, int]]], row_mb: dict[Table, float], size_mb: float
) -> None:
    model, limits = Model(tables, row_mb), Limits(size_mb=size_mb)
    for _ in range(1_000):
        due = plan(model.size_mb(), model.held(), limits, NOW_MS)
        if not due:
            break
        for one in due:
            kept_ms = NOW_MS - int(limits.days(one.table) * DAY_MS)
            before = [table for table in ORDER[: ORDER.index(one.table)] if model.rows(table)]
            gone = model.delete(one.table, one.rows, one.before_ms)
            assert gone
            if any(at_ms >= kept_ms for at_ms, _ in gone):
                assert not before
    else:
        raise AssertionError("it never came to an end")
    assert model.size_mb() <= size_mb
    for table, held in model.held().items():
        assert held.oldest_ms >= NOW_MS - int(limits.days(table) * DAY_MS)


def test_what_fits_and_is_young_is_left_alone() -> None:
    held: dict[Table, Held] = {table: Held(10**6, NOW_MS - DAY_MS) for table in ORDER}
    assert plan(100.0, held, Limits(size_mb=100.0), NOW_MS) == []


def test_a_slice_is_small_however_much_is_due() -> None:
    held: dict[Table, Held] = {table: Held(10**9, 0) for table in ORDER}
    assert {one.rows for one in plan(1e6, held, Limits(), NOW_MS)} == {SLICE_ROWS}


def test_the_file_shrinks_to_its_bound_and_gives_the_room_back(store: Store, make_device, clock: ManualClock) -> None:
    fill(store, make_device(clock=clock), clock, count=6_000)
    store.transaction(
        lambda connection: connection.executemany(
            "INSERT INTO signal_log VALUES (NULL, ?, 'x1', 'max-pressure', '[]', 'q', '', '')",
            [(clock.wall_ms(),)] * 1_000,
        )
    )

    def on_disk_mb() -> float:
        with closing(sqlite3.connect(store.path)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return store.path.stat().st_size / 1e6

    limits = Limits(size_mb=on_disk_mb() / 3)
    for _ in range(20):
        store.forget(limits, clock.wall_ms(), pressed=False)
    assert on_disk_mb() <= limits.size_mb
    assert 0 < count(store, "observations") < 3_000
    assert (count(store, "signal_log"), count(store, "alarms")) == (1_000, 1)


def test_a_file_of_before_can_shrink_once_it_was_opened(tmp_path: Path, make_device, clock: ManualClock) -> None:
    Store(tmp_path / "edge.db").close()
    with closing(sqlite3.connect(tmp_path / "edge.db", isolation_level=None)) as old:
        old.execute("PRAGMA auto_vacuum = 0")
        old.execute("VACUUM")
        assert old.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    store = Store(tmp_path / "edge.db")
    fill(store, make_device(clock=clock), clock, count=2_000)
    limits = Limits(size_mb=0.1)
    for _ in range(20):
        store.forget(limits, clock.wall_ms(), pressed=True)
    store.close()
    assert (tmp_path / "edge.db").stat().st_size < 300_000
