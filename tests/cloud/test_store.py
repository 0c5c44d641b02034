"""What the cloud keeps, and what it takes for news."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.edge_view import LATE_MS, SILENT_MS, EdgeRow, view
from cloud.receipt import Last, judge
from cloud.store import CloudStore
from node.errors import StoreNewer
from protocol.edge_status import EdgeStatus
from protocol.ids import BootId, DeviceId

EDGE = DeviceId("edge-1")
Make = Callable[..., EdgeStatus]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CloudStore]:
    made = CloudStore(tmp_path / "cloud.db")
    made.join(EDGE, 1_000)
    yield made
    made.close()


def test_the_newest_status_is_kept(store: CloudStore, status: Make) -> None:
    assert store.receive(status(1), 2_000) == "new"
    assert store.receive(status(3), 3_000) == "new"
    (row,) = store.edges()
    assert (row.edge, row.joined_ms, row.received_ms, row.status) == (EDGE, 1_000, 3_000, status(3))


def test_what_was_heard_is_no_news(store: CloudStore, status: Make) -> None:
    store.receive(status(3), 2_000)
    assert store.receive(status(3), 3_000) == "known"
    assert store.receive(status(2), 3_000) == "stale"
    assert store.edges()[0].received_ms == 2_000


def test_a_run_that_has_ended_does_not_come_back(store: CloudStore, status: Make) -> None:
    assert [store.receive(status(9, boot=boot), 2_000) for boot in (0, 1, 0, 2, 1)] == [
        *("new", "new", "stale", "new", "stale")
    ]


def test_all_of_it_outlives_a_restart(tmp_path: Path, status: Make) -> None:
    for boot in range(3):
        store = CloudStore(tmp_path / "cloud.db")
        if boot == 0:
            store.join(EDGE, 1_000)
        assert store.receive(status(1, boot=boot), 2_000 + boot) == "new"
        store.close()
    store = CloudStore(tmp_path / "cloud.db")
    assert store.receive(status(5, boot=0), 9_000) == "stale"
    assert store.edges()[0].status == status(1, boot=2)
    store.close()


def test_who_has_not_joined_or_was_revoked_is_not_heard(store: CloudStore, status: Make) -> None:
    assert store.receive(status(edge=DeviceId("edge-2")), 2_000) == "refused"
    assert store.revoke(EDGE, 3_000)
    assert store.receive(status(), 4_000) == "refused"
    assert not store.revoke(DeviceId("edge-2"), 3_000)
    assert view(store.edges()[0], 5_000).state == "revoked"


def test_an_edge_that_joins_again_begins_anew(store: CloudStore, status: Make) -> None:
    store.receive(status(9), 2_000)
    store.revoke(EDGE, 3_000)
    store.join(EDGE, 4_000)
    assert view(store.edges()[0], 5_000).state == "never"
    assert store.receive(status(1), 5_000) == "new"


def test_the_list_of_runs_is_bounded(store: CloudStore, status: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud.store.BOOTS_KEPT", 5)
    for number in range(20):
        boot = BootId(f"{number:016x}")
        assert store.receive(status(1, boot=0).__class__(**{**_fields(status(1)), "boot": boot}), 2_000) == "new"
    with sqlite3.connect(store_path(store)) as sql:
        assert sql.execute("SELECT count(*) FROM boots").fetchone()[0] == 5
    sql.close()


def test_a_status_that_can_not_be_read_hides_no_edge(store: CloudStore, status: Make) -> None:
    """A newer version wrote it, and then an older one was put back."""
    store.receive(status(1), 2_000)
    with sqlite3.connect(store_path(store)) as sql:
        sql.execute("UPDATE statuses SET status = ?", (b'{"v": 99}',))
    sql.close()
    assert view(store.edges()[0], 3_000).state == "never"


def _fields(one: EdgeStatus) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


def store_path(store: CloudStore) -> Path:
    return Path(store._connection.execute("PRAGMA database_list").fetchone()[2])


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    CloudStore(tmp_path / "cloud.db").close()
    with sqlite3.connect(tmp_path / "cloud.db") as sql:
        sql.execute("PRAGMA user_version = 99")
    sql.close()
    with pytest.raises(StoreNewer):
        CloudStore(tmp_path / "cloud.db")


reports = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=30)


@given(reports)
def test_whatever_arrives_in_whatever_order_no_status_is_news_twice(arrivals: list[tuple[int, int]]) -> None:
    last: Last | None = None
    ended: set[BootId] = set()
    taken: list[tuple[BootId, int]] = []
    for boot_number, seq in arrivals:
        boot = BootId(f"{boot_number:016x}")
        report = EdgeStatus(
            edge=EDGE, boot=boot, seq=seq, at_ms=0, software="", site="s", uptime_s=0, broker_connected=True, alarms={}
        )  # type: ignore[arg-type]
        if judge(last, ended, report) == "new":
            if last is not None and last.boot != boot:
                ended.add(last.boot)
            last = Last(boot, seq)
            taken.append((boot, seq))
    assert len(taken) == len(set(taken))
    # Within a run the numbers rise, and a run that another has followed is never taken up again.
    runs = [boot for boot, _ in taken]
    assert all(runs.index(boot) + runs.count(boot) > number for number, boot in enumerate(runs))


@pytest.mark.parametrize(
    ("age_ms", "state"),
    [
        (-60_000, "reporting"),
        (0, "reporting"),
        (LATE_MS, "reporting"),
        (LATE_MS + 1, "late"),
        (SILENT_MS + 1, "silent"),
    ],
)
def test_an_edge_is_judged_by_our_own_clock(status: Make, age_ms: int, state: str) -> None:
    """Whatever the edge's clock says: it is shown, and decides nothing."""
    wrong = status(at_ms=0)
    row = EdgeRow(edge=EDGE, joined_ms=0, received_ms=10_000_000, status=wrong)
    shown = view(row, 10_000_000 + age_ms)
    assert shown.state == state
    assert shown.clock_off_s == -10_000
    assert (shown.devices_online, shown.devices_total, shown.alarms.critical) == (1, 2, 1)
