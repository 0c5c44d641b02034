"""The updater's effects, where they are more than the bench's real processes show."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from node.clock import ManualClock
from node.errors import UpdateBusy, UpdateNotPossible, UpdateUnreachable
from node.file_lock import lock_beside
from node.update import request, runner
from node.update.environment import fitting_llama
from node.update.journal import Journal, load_journal, save_journal
from node.update.places import UNFINISHED, Places, find_prefix
from node.update.runner import Runner
from node.update.targets import Targets
from tests.node.update.conftest import Maintainer


def install(places: Places, version: str) -> None:
    command = places.version(version) / "bin" / "kinflow"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\nexit 0\n")
    command.chmod(0o755)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places(tmp_path / "opt", tmp_path / "home")
    places.folder.mkdir(parents=True)
    install(places, "1.0")
    places.current.symlink_to("versions/1.0")
    return places


def updater(places: Places, maintainer: Maintainer) -> Runner:
    def opened(source: str) -> Targets:
        raise UpdateUnreachable(source=source, detail="it is not there")

    return Runner(places, "x86_64", opened, clock=ManualClock(), sleep=lambda _: None)


def test_what_nobody_asked_for_is_not_done(places: Places, maintainer: Maintainer) -> None:
    state = updater(places, maintainer).run()
    assert state == load_journal(places.journal) == Journal(version="1.0")


def test_a_source_that_is_away_is_told_to_whoever_asked_and_to_nobody_else(
    places: Places, maintainer: Maintainer
) -> None:
    request.ask(places.wanted, request.Request(command="c1"))
    last = updater(places, maintainer).run().last
    assert last is not None
    assert last.reason is not None
    assert (last.result, last.reason.code, last.command) == ("refused", "unreachable", "c1")
    assert not places.wanted.exists()
    assert len(updater(places, maintainer).run(automatic=True).outcomes) == 1


def test_one_updater_at_a_time(places: Places, maintainer: Maintainer) -> None:
    with lock_beside(places.folder / "update"), pytest.raises(UpdateBusy):
        updater(places, maintainer).run()


def test_without_an_installed_version_it_says_so(tmp_path: Path, maintainer: Maintainer) -> None:
    with pytest.raises(UpdateNotPossible):
        updater(Places(tmp_path / "none", tmp_path / "home"), maintainer).run()
    with pytest.raises(UpdateNotPossible):
        find_prefix(tmp_path / "venv")
    assert find_prefix(tmp_path / "opt" / "versions" / "1.0") == tmp_path / "opt"


def test_on_a_full_disk_what_was_begun_makes_room_for_the_journal(
    places: Places, maintainer: Maintainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk has room again only once the half of the new version is gone."""
    install(places, "1.1")
    (places.version("1.1") / UNFINISHED).touch()
    places.downloads.mkdir()
    save_journal(places.journal, Journal(version="1.0", phase="downloaded", target="1.1", tries=1))

    def save(path: Path, journal: Journal) -> None:
        if places.version("1.1").exists() or places.downloads.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save_journal(path, journal)

    monkeypatch.setattr(runner, "save_journal", save)
    last = updater(places, maintainer).run().last
    assert last is not None
    assert last.reason is not None
    assert places.in_use() == "1.0"
    assert not places.version("1.1").exists()


def test_a_wish_that_can_not_be_read_is_nobodys(places: Places, maintainer: Maintainer) -> None:
    for text in ("{", '{"action": "explode"}', '{"version": "../x"}', '{"more": 1}', "x" * 10_000):
        places.wanted.write_text(text)
        assert updater(places, maintainer).run().outcomes == ()
        assert not places.wanted.exists()


def test_the_build_of_llama_that_fits_the_processor(tmp_path: Path) -> None:
    for name in ("armv8-a", "armv8.2-a+dotprod", "x86-64-v2", "x86-64-v3"):
        (tmp_path / "llama" / name).mkdir(parents=True)
    assert fitting_llama(tmp_path, "arm64", "Features\t: fp asimd\n") == "armv8-a"
    assert fitting_llama(tmp_path, "arm64", "Features\t: fp asimd asimddp\n") == "armv8.2-a+dotprod"
    assert fitting_llama(tmp_path, "x86_64", "flags\t: sse4_2 avx2 fma f16c bmi2\n") == "x86-64-v3"
    assert fitting_llama(tmp_path, "x86_64", "flags\t: sse4_2\n") == "x86-64-v2"
    assert fitting_llama(tmp_path, "x86_64", "flags\t: sse2\n") is None
    assert fitting_llama(tmp_path / "none", "arm64", "Features\t: asimddp\n") is None
