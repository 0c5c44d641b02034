"""`kinflow eval index`: what it prints, and what it refuses."""

import json

import pytest
from typer.testing import CliRunner

from benchmarks.eval import index
from benchmarks.eval.cli import app
from sim_devices.render.sequences import Act


def call(*arguments):
    return CliRunner().invoke(app, ["index", *arguments])


@pytest.mark.timeout(120)
def test_it_prints_figures_of_all_seeds_and_of_each(monkeypatch):
    monkeypatch.setattr(index, "FPS", 1.0)
    monkeypatch.setattr(index, "WARM_UP", (Act(25, 300, True),))
    monkeypatch.setattr(index, "STANDING", (Act(15, 1300, False), Act(60, 0, False)))
    told = json.loads(call("--scenario", "queue", "--seeds", "4,7", "--simulated-detector", "--json").stdout)
    assert {"mae", "r", "class_accuracy", "coverage", "queue_floor_ratio"} <= told.keys()
    assert (told["seeds"], told["detector"], told["frames"]) == ([4, 7], "simulated", 150)
    floors = [one["queue_floor_ratio"] for one in told["by_seed"].values()]
    assert told["queue_floor_ratio"] == min(one for one in floors if one is not None)
    assert 0 <= told["mae"] < 0.3


@pytest.mark.parametrize(
    "wrong",
    [
        ("--scenario", "snow"),
        ("--scenario", "day", "--seeds", "one"),
        ("--scenario", "day", "--seeds", "5-3"),
        ("--scenario", "day", "--no-detector", "--simulated-detector"),
    ],
)
def test_a_wrong_call_is_refused(wrong):
    assert call(*wrong).exit_code == 2
