"""A backup is made of a state folder that is in use, and what is restored from it is that folder again."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from edge_server.backup.read import check
from edge_server.backup.restore import NOTE, restore, without_settings
from edge_server.backup.schedule import Schedule, is_due, made_by, name_of, to_delete
from edge_server.backup.sealed import SealedWriter
from edge_server.backup.subject import subject_of
from edge_server.backup.write import write_backup
from edge_server.errors import BackupDamaged, BackupFailed, BackupTruncated
from edge_server.store.file import open_store
from kinflow.main import run as kinflow
from node.clock import ManualClock
from node.config.schema import Backup
from node.errors import HomeOccupied

PASSPHRASE = "correct horse battery"
MADE_MS = 1_764_000_000_000
COST = 2


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / "authority").mkdir(parents=True)
    (home / "log").mkdir()
    (home / "authority" / "ca.key").write_text("a key")
    (home / "authority" / "ca.key").chmod(0o600)
    (home / "site.toml").write_text("[site]\n")
    (home / "kinflow.toml").write_text('[device]\nid = "edge-closet"\n')
    (home / "log" / "edge.jsonl").write_text("a line\n")
    (home / "outbox-pi.db").write_text("goes with its device")
    open_store(home / "edge.db").connection.close()
    return home


def back_up(home: Path, target: Path) -> Path:
    write_backup(subject_of(home), target, PASSPHRASE, MADE_MS, COST)
    return target


def content(home: Path) -> dict[str, bytes]:
    return {
        one.relative_to(home).as_posix(): one.read_bytes()
        for one in home.rglob("*")
        if one.is_file() and one.suffix != ".db" and one.name not in (NOTE, "edge-id")
    }


def test_all_comes_back_but_logs_and_outboxes(home: Path, tmp_path: Path) -> None:
    file = back_up(home, tmp_path / "one")
    done = restore(file, PASSPHRASE, tmp_path / "new", MADE_MS + 1)
    wanted = content(home)
    del wanted["log/edge.jsonl"]
    assert content(tmp_path / "new") == wanted
    assert stat.S_IMODE((tmp_path / "new/authority/ca.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not (tmp_path / "new/outbox-pi.db").exists()
    assert (tmp_path / "new/edge-id").read_text() == "edge-closet\n"
    assert done.manifest.edge == "edge-closet"
    assert list(home.glob(".backup-*")) == []


def test_a_store_is_of_one_moment_though_it_is_written_meanwhile(home: Path, tmp_path: Path) -> None:
    """Each commit adds one row to each of two tables: a copy of one moment has as many here as there."""
    store = open_store(home / "edge.db").connection
    store.execute("CREATE TABLE one (n)")
    store.execute("CREATE TABLE two (n)")
    ending, written = threading.Event(), threading.Event()

    def write() -> None:
        while not ending.is_set():
            store.execute("BEGIN")
            store.execute("INSERT INTO one VALUES (zeroblob(2000))")
            store.execute("INSERT INTO two VALUES (1)")
            store.execute("COMMIT")
            written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(10)
        file = back_up(home, tmp_path / "one")
    finally:
        ending.set()
        writer.join()
        store.close()
    restore(file, PASSPHRASE, tmp_path / "new", MADE_MS)
    with closing(sqlite3.connect(tmp_path / "new/edge.db")) as found:
        assert found.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        one, two = (found.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("one", "two"))
    assert one == two > 0


def test_a_store_and_a_site_elsewhere_come_along_and_are_found(home: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (home / "edge.db").rename(tmp_path / "disk/traffic.db")
    text = f'[edge]\nport = 8800\ndatabase = "{tmp_path}/disk/traffic.db"\n[device]\nid = "edge-closet"\n'
    (home / "kinflow.toml").write_text(text)
    restore(back_up(home, tmp_path / "one"), PASSPHRASE, tmp_path / "new", MADE_MS)
    assert (tmp_path / "new/edge.db").is_file()
    assert subject_of(tmp_path / "new").outside == {}
    assert (
        "port = 8800\n# in the state folder since the restore: database" in (tmp_path / "new/kinflow.toml").read_text()
    )


def test_only_the_named_setting_is_taken_out() -> None:
    text = '[edge]\nsite = "x"\n[other]\nsite = "y"\n'
    assert without_settings(text, {"edge.site"}).splitlines()[1:] == [
        '# in the state folder since the restore: site = "x"', "[other]", 'site = "y"'
    ]  # fmt: skip


def test_a_folder_in_use_is_kept_unless_it_may_go_aside(home: Path, tmp_path: Path) -> None:
    file = back_up(home, tmp_path / "one")
    before = content(home)
    with pytest.raises(HomeOccupied):
        restore(file, PASSPHRASE, home, MADE_MS)
    assert content(home) == before
    done = restore(file, PASSPHRASE, home, MADE_MS, aside=True)
    assert done.aside is not None
    assert content(done.aside) == before
    assert (home / "authority/ca.key").read_text() == "a key"


@pytest.mark.parametrize("spoil", ["cut", "bit"])
def test_of_a_bad_backup_nothing_is_restored(home: Path, tmp_path: Path, spoil: str) -> None:
    file = back_up(home, tmp_path / "one")
    whole = bytearray(file.read_bytes())
    if spoil == "cut":
        del whole[-100:]
    else:
        whole[-100] ^= 1
    file.write_bytes(whole)
    (tmp_path / "place").mkdir()
    with pytest.raises((BackupTruncated, BackupDamaged)):
        restore(file, PASSPHRASE, tmp_path / "place/new", MADE_MS)
    assert list((tmp_path / "place").iterdir()) == []


def test_a_backup_that_is_interrupted_leaves_no_file(home: Path, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SealedWriter, "write", full)
    (tmp_path / "stick").mkdir()
    with pytest.raises(BackupFailed, match="the disk is full"):
        back_up(home, tmp_path / "stick/one")
    assert list((tmp_path / "stick").iterdir()) == []


def test_a_short_passphrase_is_refused(home: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="10 characters"):
        write_backup(subject_of(home), tmp_path / "one", "short", MADE_MS, COST)


def test_the_commands(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key").write_text(f"{PASSPHRASE}\nand nothing else\n")
    (tmp_path / "wrong").write_text("another passphrase\n")
    key = ["--passphrase-file", str(tmp_path / "key")]
    file = str(tmp_path / "one")
    assert kinflow(["edge", "backup", file, *key, "--home", str(home)]) == 0
    assert kinflow(["edge", "backup", file, *key, "--home", str(home)]) == 228
    assert kinflow(["edge", "backup", "verify", file, *key, "--json"]) == 0
    assert '"edge": "edge-closet"' in capsys.readouterr().out
    assert kinflow(["edge", "backup", "verify", file, "--passphrase-file", str(tmp_path / "wrong")]) == 227
    assert kinflow(["edge", "restore", file, *key, "--home", str(tmp_path / "new")]) == 0
    assert kinflow(["edge", "restore", file, *key, "--home", str(tmp_path / "new")]) == 194
    assert PASSPHRASE not in "".join(capsys.readouterr())


def test_rotation_keeps_the_newest_of_its_own_and_nothing_else_goes() -> None:
    mine = [name_of("edge-a", MADE_MS + day * 86_400_000) for day in range(5)]
    others = [name_of("edge-a-b", MADE_MS), name_of("edge-b", MADE_MS), "notes.txt", f"{mine[0]}.part"]
    assert to_delete("edge-a", [*reversed(mine), *others], keep=2) == mine[:3]
    assert to_delete("edge-a", others, keep=1) == []
    assert [name for _, name in made_by("edge-a", mine)] == mine


def test_one_is_due_when_the_newest_is_old_or_from_the_future() -> None:
    assert is_due(None, 1_000, 100)
    assert not is_due(950, 1_000, 100)
    assert is_due(900, 1_000, 100)
    assert is_due(2_000, 1_000, 100)


def test_the_schedule_makes_rotates_and_tells(home: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(PASSPHRASE)
    clock = ManualClock(wall_ms=MADE_MS)
    settings = Backup(folder=str(tmp_path / "stick"), every_hours=1.0, keep=2, key_file=str(tmp_path / "key"))
    schedule = Schedule(home, "edge-closet", settings, clock, lambda fault: None)
    with pytest.raises(BackupFailed, match="is the disk connected"):
        schedule.look()
    assert not (tmp_path / "stick").exists()
    (tmp_path / "stick").mkdir()
    made = []
    for _ in range(3):
        made.append(schedule.look())
        assert schedule.look() is None
        clock.advance(3_600_000)
    assert sorted((tmp_path / "stick").iterdir()) == made[1:]
    check(made[-1], PASSPHRASE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hand files to another user")
def test_root_restores_for_the_owner(home: Path, tmp_path: Path) -> None:
    file = back_up(home, tmp_path / "one")
    (tmp_path / "new").mkdir()
    os.chown(tmp_path / "new", 4_242, 4_242)
    restore(file, PASSPHRASE, tmp_path / "new", MADE_MS)
    assert {one.stat().st_uid for one in (tmp_path / "new").rglob("*")} == {4_242}
