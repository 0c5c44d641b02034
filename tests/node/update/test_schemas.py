"""Going back to an older version: the stores follow, and nothing in them is lost."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from node.clock import ManualClock
from node.errors import StoreNewer
from node.file_lock import lock_beside
from node.identity import Identity
from node.outbox.outbox import Outbox
from node.outbox.store import OutboxStore
from node.update import schemas
from protocol.ids import DeviceId

FIRST = """
CREATE TABLE alarms (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE INDEX alarms_by_text ON alarms (text);
PRAGMA user_version = 1;
"""


def store(path: Path, *scripts: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for script in scripts:
            connection.executescript(script)


def dump(path: Path) -> tuple[schemas.Schema, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        return schemas.schema_of(connection), connection.execute("SELECT * FROM alarms").fetchall()


@pytest.mark.parametrize(
    "migration",
    [
        "ALTER TABLE alarms ADD COLUMN site TEXT;",
        "ALTER TABLE alarms ADD COLUMN site TEXT NOT NULL DEFAULT 'x'; CREATE INDEX by_site ON alarms (site);",
        "CREATE TABLE more (id INTEGER PRIMARY KEY); CREATE VIEW seen AS SELECT * FROM more;",
        "DROP INDEX alarms_by_text; CREATE INDEX alarms_by_text ON alarms (text, id);",
        "CREATE TRIGGER keep AFTER INSERT ON alarms BEGIN SELECT 1; END;",
    ],
)
def test_what_was_stored_in_between_stays(tmp_path: Path, migration: str) -> None:
    path = tmp_path / "edge.db"
    store(path, FIRST, "INSERT INTO alarms VALUES (1, 'before');")
    noted = schemas.note(tmp_path)
    store(path, migration, "PRAGMA user_version = 2; INSERT INTO alarms (id, text) VALUES (2, 'in between');")
    assert schemas.step_down(tmp_path, noted) == (["edge.db"], [])
    found, rows = dump(path)
    assert found == noted["edge.db"]
    assert rows == [(1, "before"), (2, "in between")]


@pytest.mark.parametrize(
    "migration", ["ALTER TABLE alarms RENAME COLUMN text TO words;", "DROP INDEX alarms_by_text; DROP TABLE alarms;"]
)
def test_what_can_not_be_taken_back_is_left_as_it_is(tmp_path: Path, migration: str) -> None:
    path = tmp_path / "edge.db"
    store(path, FIRST)
    noted = schemas.note(tmp_path)
    store(path, migration, "PRAGMA user_version = 2;")
    before = path.read_bytes()
    assert schemas.step_down(tmp_path, noted) == ([], ["edge.db"])
    assert path.read_bytes() == before


def test_a_store_in_use_and_one_that_was_not_migrated_are_left_alone(tmp_path: Path) -> None:
    store(tmp_path / "a.db", FIRST)
    store(tmp_path / "b.db", FIRST)
    noted = schemas.note(tmp_path)
    store(tmp_path / "a.db", "ALTER TABLE alarms ADD COLUMN site TEXT; PRAGMA user_version = 2;")
    with lock_beside(tmp_path / "a.db"):
        assert schemas.step_down(tmp_path, noted) == ([], ["a.db"])
    assert schemas.step_down(tmp_path, noted) == (["a.db"], [])


def test_an_alarm_of_the_trial_is_still_in_the_outbox_of_the_old_version(tmp_path: Path) -> None:
    path = tmp_path / "outbox-a.db"
    OutboxStore(path).close()
    noted = schemas.note(tmp_path)
    # The new version opens the file, migrates it, and raises an alarm that nobody acknowledges.
    store(path, "ALTER TABLE message ADD COLUMN lane TEXT; PRAGMA user_version = 2;")
    store(path, "INSERT INTO message (boot, seq, delivery, topic, payload) VALUES ('b', 1, 'alarm', 't', x'01');")
    with pytest.raises(StoreNewer):
        OutboxStore(path)
    assert schemas.step_down(tmp_path, noted) == (["outbox-a.db"], [])
    identity = Identity(DeviceId("a"), ManualClock())
    outbox = Outbox(identity.boot, ManualClock(), OutboxStore(path))
    outbox.set_link(True)
    assert [(entry.boot, entry.seq, entry.payload) for entry in outbox.take(10)] == [("b", 1, b"\x01")]
    outbox.close()


def test_noted_schemas_survive_their_file(tmp_path: Path) -> None:
    store(tmp_path / "edge.db", FIRST)
    noted = schemas.note(tmp_path)
    schemas.save(tmp_path / "s" / "1.0.json", noted)
    assert schemas.load(tmp_path / "s" / "1.0.json") == noted
    assert schemas.load(tmp_path / "s" / "2.0.json") == {}
