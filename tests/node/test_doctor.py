from __future__ import annotations

import json
from pathlib import Path

import pytest

from kinflow.main import run as kinflow
from node.clock import ManualClock
from node.doctor.check import Context
from node.doctor.runner import discover, examine
from node.errors import HomeNotWritable
from protocol.errors import catalogue

PLUG_IN = """
from node.errors import HomeNotWritable

class Lamp:
    title = "The lamp is lit"
    error = HomeNotWritable

    def run(self, context):
        if not (context.home / "lamp").exists():
            raise HomeNotWritable(path="lamp", detail="dark")
        return "Lit."

    def fix(self, context):
        (context.home / "lamp").touch()
        return "Lit it."
"""
BROKEN = """
from node.errors import HomeNotWritable

class Broken:
    title = "Broken"
    error = HomeNotWritable

    def run(self, context):
        raise ZeroDivisionError("rtsp://u:hunter2@cam")
"""


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path, ManualClock(wall_ms=1_795_000_000_000))


@pytest.fixture
def package(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, request: object) -> str:
    """A package of checks with two files in it, of a name that no other test has imported."""
    folder = tmp_path_factory.mktemp("plug-ins")
    name = f"checks_{folder.name.replace('-', '_')}"
    (folder / name).mkdir()
    (folder / name / "__init__.py").touch()
    (folder / name / "lamp.py").write_text(PLUG_IN)
    (folder / name / "broken.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(folder)
    return name


def test_a_file_is_a_check_and_its_name_is_the_slug(package: str) -> None:
    assert list(discover([package, "no_such_package"])) == ["broken", "lamp"]


def test_a_tier_whose_libraries_are_not_installed_has_no_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent's machine has the edge server's code, and not its libraries."""
    folder = tmp_path / "checks_of_another_tier"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "store.py").write_text("import a_library_of_that_tier")
    (folder / "lamp.py").write_text(PLUG_IN)
    monkeypatch.syspath_prepend(tmp_path)
    assert list(discover(["checks_of_another_tier"])) == ["lamp"]
    (folder / "slip.py").write_text("from node.no_such_module import nothing")
    with pytest.raises(ModuleNotFoundError):
        discover(["checks_of_another_tier"])


def test_a_broken_check_hides_no_other(package: str, context: Context) -> None:
    results = examine(discover([package]), context)
    assert (results["broken"].code, results["broken"].ok) == ("KF39", False)
    assert (results["lamp"].code, results["lamp"].ok) == ("KF37", False)
    assert "dark" in results["lamp"].advice


def test_fix_puts_right_and_looks_again(package: str, context: Context) -> None:
    results = examine(discover([package]), context, fix=True)
    assert results["lamp"].ok
    assert results["lamp"].advice == "Lit it. Lit."
    assert not results["broken"].ok


def test_every_check_is_told_by_a_code_of_the_catalogue(context: Context) -> None:
    checks = discover()
    assert {"python_version", "free_space", "broker_present", "camera_access", "store_version"} <= set(checks)
    for slug, result in examine(checks, context).items():
        assert int(result.code.removeprefix("KF")) in catalogue(), slug
        assert result.code != "KF39", result.advice
        assert checks[slug].title


def test_json_is_one_object_and_the_status_is_0_whatever_is_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KINFLOW_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("KINFLOW_EDGE_PROT", "1")
    assert kinflow(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["checks"]
    assert all(set(one) == {"code", "slug", "ok", "advice"} for one in found)
    bad = {one["slug"]: one["code"] for one in found if not one["ok"]}
    assert bad["home_writable"] == f"KF{HomeNotWritable.number}"
    assert bad["config_valid"] == "KF31"


def test_a_person_reads_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert kinflow(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(discover()) + 1
    assert any(line.startswith("ok    Python is new enough: Python 3.") for line in lines)


def test_fix_makes_the_state_folder(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KINFLOW_HOME", str(tmp_path / "a" / "b"))
    assert kinflow(["doctor", "--fix", "--json"]) == 0
    found = {one["slug"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert found["home_writable"]["ok"]
