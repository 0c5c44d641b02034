from __future__ import annotations

import json
from pathlib import Path

import pytest

from kinflow.main import run

SITE = """
id = "town"
[[intersections]]
id = "main"
position = [13.4, 52.5]
controller = "controller-main"
compatible = [[1, 2]]
stages = [{ id = "all", phases = [1, 2] }]
plan = { steps = [{ stage = "all", green_s = 30.0 }] }
phases = [{ id = 1, yellow_s = 3.5, all_red_s = 2.0 }, { id = 2, yellow_s = 3.5, all_red_s = 2.0 }]
[[intersections.approaches]]
id = "north"
line = [[13.4, 52.501], [13.4, 52.5]]
speed_limit_mps = 13.9
road_width_m = 7.0
visible_length_m = 60.0
camera = "north-1"
lanes = [{ id = "n1", phases = [1] }, { id = "n2", phases = [2] }]
"""


def check(path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict]:
    path.write_text(text)
    status = run(["site", "check", str(path), "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_a_sound_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path / "site.toml", SITE, capsys) == (0, {"ok": True, "findings": []})


def test_every_fault_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unsafe = SITE.replace("compatible = [[1, 2]]\n", "").replace("yellow_s = 3.5", "yellow_s = 1.0")
    status, found = check(tmp_path / "site.toml", unsafe, capsys)
    assert status == 16
    assert not found["ok"]
    faults = [one["where"] for one in found["findings"] if one["severity"] == "fault"]
    assert "intersections[main].conflicts" in faults
    assert {"intersections[main].phases[1]", "intersections[main].phases[2]"} <= set(faults)


def test_hints_alone_do_not_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = check(tmp_path / "site.toml", SITE.replace('camera = "north-1"\n', ""), capsys)
    assert status == 0
    assert [one["severity"] for one in found["findings"]] == ["hint"]


def test_a_person_reads_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "site.toml").write_text(SITE.replace("compatible = [[1, 2]]\n", ""))
    assert run(["site", "check", str(tmp_path / "site.toml")]) == 16
    out = capsys.readouterr().out
    assert "fault intersections[main].conflicts: phases 1 and 2" in out
    assert out.endswith("1 intersections, 1 approaches, 1 faults.\n")


@pytest.mark.parametrize("text", ["id = ", "id = 'A B'", "id = 'a'\nsurprise = 1"])
def test_a_file_that_is_no_site(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (tmp_path / "site.toml").write_text(text)
    assert run(["site", "check", str(tmp_path / "site.toml")]) == 15
    assert "KF15" in capsys.readouterr().err
