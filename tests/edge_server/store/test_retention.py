from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_server.ingest.core import Arrival, State, absorb
from edge_server.store.retention import DAY_MS, HOUR_MS, Limits, size_mb, sweep
from edge_server.store.store import Store, write_effects
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
