"""The boot selector: whatever the journal says and whatever is broken, a whole version is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

SELECTOR = Path(__file__).parents[2] / "firmware_configs" / "system" / "select_version.py"
OLD, NEW = "1.0", "1.1"
AGENT = ("agent", "run")


class Machine:
    def __init__(self, folder: Path) -> None:
        self.prefix, self.home = folder / "opt", folder / "home"
        (self.home / "update").mkdir(parents=True)
        for version in (OLD, NEW):
            self.add(version)
        self.link(OLD)

    def add(self, version: str) -> None:
        command = self.prefix / "versions" / version / "bin" / "kinflow"
        command.parent.mkdir(parents=True)
        command.write_text("#!/bin/sh\n")
        command.chmod(0o755)

    def link(self, version: str) -> None:
        link = self.prefix / "current"
        link.unlink(missing_ok=True)
        link.symlink_to(f"versions/{version}")

    def journal(self, **more: object) -> None:
        said = {"version": OLD, "target": NEW, "attempt": "a1", "starts_limit": 3, "trial_s": 10.0, **more}
        (self.home / "update" / "state.json").write_text(json.dumps(said))

    def boots(self) -> dict[str, object]:
        return json.loads((self.home / "update" / "boots.json").read_text())

    def select(self, *words: str) -> str:
        command = [sys.executable, "-I", str(SELECTOR), str(self.prefix), str(self.home), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        folder = Path(done.stdout.strip())
        assert os.access(folder / "bin" / "kinflow", os.X_OK)
        return folder.name


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_an_update_it_is_what_current_points_at(machine: Machine) -> None:
    assert machine.select(*AGENT) == OLD
    machine.link(NEW)
    assert machine.select(*AGENT) == NEW
    machine.journal(phase="idle", version=OLD)
    assert machine.select(*AGENT) == NEW  # install.sh was run by hand


def test_a_trial_is_started_so_often_and_no_more(machine: Machine) -> None:
    machine.journal(phase="trial")
    machine.link(NEW)
    assert [machine.select(*AGENT) for _ in range(5)] == [NEW, NEW, NEW, OLD, OLD]
    assert machine.boots()["gave_up"]["code"] == "crashed"
    assert machine.select("edge", "run") == OLD
    # Another attempt counts from the beginning.
    machine.journal(phase="trial", attempt="a2")
    assert machine.select(*AGENT) == NEW


def test_tiers_are_counted_apart_and_what_is_no_start_is_not_counted(machine: Machine) -> None:
    machine.journal(phase="trial")
    for _ in range(3):
        assert machine.select(*AGENT) == NEW
        assert machine.select("edge", "run") == NEW
    for _ in range(5):
        assert machine.select("doctor") == NEW
    assert machine.boots()["starts"] == {"agent": 3, "edge": 3}


def test_the_updater_is_always_the_version_that_is_known_to_work(machine: Machine) -> None:
    machine.journal(phase="trial")
    machine.link(NEW)
    assert machine.select("update", "run") == OLD
    machine.journal(phase="committing", version=NEW)
    assert machine.select("update", "run") == NEW
    assert machine.select(*AGENT) == NEW


def test_a_trial_without_an_end_is_ended(machine: Machine) -> None:
    machine.journal(phase="trial", trial_s=0.0)
    assert machine.select(*AGENT) == NEW
    boots = machine.boots()
    boots["began"]["at_s"] -= 61.0
    (machine.home / "update" / "boots.json").write_text(json.dumps(boots))
    assert machine.select(*AGENT) == OLD
    assert machine.boots()["gave_up"]["code"] == "hung"


def test_what_can_not_be_counted_is_not_tried(machine: Machine) -> None:
    machine.journal(phase="trial")
    (machine.home / "update" / "boots.json.part").mkdir()  # nothing can be written there
    assert machine.select(*AGENT) == OLD


def test_on_the_way_back_the_old_version_runs_whatever_current_says(machine: Machine) -> None:
    machine.journal(phase="reverting")
    machine.link(NEW)
    assert machine.select(*AGENT) == OLD


def test_an_unfinished_version_is_never_started(machine: Machine) -> None:
    machine.journal(phase="trial")
    machine.link(NEW)
    (machine.prefix / "versions" / NEW / "unfinished").touch()
    assert machine.select(*AGENT) == OLD


def test_stores_are_brought_back_by_the_version_that_is_started(machine: Machine, tmp_path: Path) -> None:
    (machine.home / "update" / "schemas").mkdir()
    (machine.home / "update" / "schemas" / f"{OLD}.json").write_text("{}")
    command = machine.prefix / "versions" / OLD / "bin" / "kinflow"
    command.write_text(f'#!/bin/sh\necho "$@" "$KINFLOW_HOME" > {tmp_path}/called\n')
    machine.journal(phase="reverting")
    assert machine.select(*AGENT) == OLD
    assert (tmp_path / "called").read_text() == f"update step-down {machine.home}\n"


def test_without_any_version_it_says_so(machine: Machine) -> None:
    for version in (OLD, NEW):
        (machine.prefix / "versions" / version / "unfinished").touch()
    command = [sys.executable, "-I", str(SELECTOR), str(machine.prefix), str(machine.home), *AGENT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0
    assert "no whole version" in done.stderr


rubbish = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([OLD, NEW, "..", "trial"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
journals = st.fixed_dictionaries(
    {},
    optional={
        "phase": st.sampled_from(["idle", "trial", "committing", "reverting", "unpacked", 7]),
        "version": rubbish,
        "target": rubbish,
        "attempt": rubbish,
        "starts_limit": st.integers(-1, 5) | st.none(),
        "trial_s": st.floats(0, 10) | st.none(),
    },
)


@given(journal=journals | st.binary(max_size=20), linked=st.sampled_from([OLD, NEW, "9.9", "../..", None]))
def test_whatever_lies_there_a_whole_version_is_chosen(
    tmp_path_factory: pytest.TempPathFactory, journal: object, linked: str | None
) -> None:
    selector = _loaded()
    machine = Machine(tmp_path_factory.mktemp("machine"))
    if linked is None:
        (machine.prefix / "current").unlink()
    else:
        machine.link(linked)
    text = journal if isinstance(journal, bytes) else json.dumps(journal).encode()
    (machine.home / "update" / "state.json").write_bytes(text)
    assert selector["choose"](str(machine.prefix), str(machine.home), list(AGENT)) in {OLD, NEW}


def _loaded() -> dict[str, object]:
    """The selector as it is run: a file, and no module of ours."""
    found: dict[str, object] = {"__name__": "selector"}
    exec(compile(SELECTOR.read_text(), str(SELECTOR), "exec"), found)
    return found
