"""What is done about a file that isn't as it should be."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge_server.store import migrations
from edge_server.store.file import open_store
from edge_server.store.store import Store
from node.errors import StoreNewer


def test_a_fresh_store_has_the_newest_schema_and_the_safe_settings(tmp_path: Path) -> None:
    connection = open_store(tmp_path / "edge.db").connection
    assert connection.execute("PRAGMA user_version").fetchone() == (len(migrations.steps()),)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    connection.close()


def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "edge.db"
    with closing(sqlite3.connect(path)) as store:
        store.execute("CREATE TABLE from_the_future (what)")
        store.execute("PRAGMA user_version = 999")
        store.commit()
    before = path.read_bytes()
    with pytest.raises(StoreNewer) as refused:
        Store(path)
    assert refused.value.code == "KF51"
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["edge.db"]


@pytest.mark.parametrize("damage", ["no database", "a torn page"])
def test_a_damaged_store_is_set_aside_and_a_fresh_one_begun(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "edge.db"
    if damage == "no database":
        path.write_bytes(b"this is no database" * 500)
    else:
        Store(path).close()
        content = bytearray(path.read_bytes())
        content[4096 * 2 : 4096 * 5] = b"\xff" * (4096 * 3)
        path.write_bytes(content)
    broken = path.read_bytes()
    store = Store(path)
    assert store.quarantined is not None
    assert store.quarantined.read_bytes() == broken
    assert store.reader.alarms() == []
    store.close()


def test_a_step_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "edge.db"
    Store(path).close()
    steps = migrations.steps()

    def half(store: object) -> None:
        store.execute("CREATE TABLE half_done (x)")  # type: ignore[attr-defined]
        raise RuntimeError("in the middle")

    monkeypatch.setattr(migrations, "steps", lambda: [*steps, half])
    with pytest.raises(RuntimeError):
        Store(path)
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("PRAGMA user_version").fetchone() == (len(steps),)
        assert not store.execute("SELECT * FROM sqlite_master WHERE name = 'half_done'").fetchall()
