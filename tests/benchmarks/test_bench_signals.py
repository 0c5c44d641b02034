"""`kinflow bench signals`: what it prints, and what it refuses."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from benchmarks.cli import app
from benchmarks.errors import ControllerUnknown, DemandUnknown
from benchmarks.signals import bench
from benchmarks.signals.bench import Setting, measure
from benchmarks.signals.pairs import ratio
from sim_devices.errors import CamerasForOneSignal, ScenarioUnreadable, WeatherUnknown
from sim_devices.sumo import grid
from sim_devices.sumo.run import RunFigures
from sim_devices.sumo.trips import TripFigures
from tests.sim_devices.sumo.sumo_nets import make


@given(st.lists(st.tuples(st.floats(1, 1e4), st.floats(1, 1e4)), min_size=2, max_size=40))
def test_an_interval_holds_its_mean(pairs):
    found = ratio([one for one, _ in pairs], [other for _, other in pairs])
    assert found.low95 <= found.ratio <= found.high95


def test_one_seed_has_no_interval():
    assert ratio([90.0], [100.0]).low95 is None


@pytest.fixture
def config(tmp_path):
    net = make("one-lane", tmp_path)
    grid.write_demand(net, tmp_path / "some.rou.xml", rate_veh_h=600, seed=1, ev_per_hour=0)
    path = tmp_path / "odd name.sumocfg"
    path.write_text(
        '<configuration><input><net-file value="one-lane.net.xml"/><route-files value="some.rou.xml"/></input>'
        '<output><summary-output value="summary.xml"/></output></configuration>'
    )
    return path


def test_a_scenario_of_somebody_else_runs_as_given_and_is_left_as_it_was(config):
    before = sorted(config.parent.iterdir())
    command = ["signals", "--scenario", str(config), "--seeds", "2", "--minutes", "5", "--json", "--ev-per-hour", "60"]
    done = CliRunner().invoke(app, [*command, "--controllers", "actuated,kinflow"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    named = {"scenario_hash", "sumo_version", "emergency_model", "sensing", "seeds", "wall_s", "decision_ms_p99"}
    assert named <= told.keys()
    found = [(row["controller"], row["preemption"]) for row in told["results"]]
    assert found == [("actuated", False), ("kinflow", False), ("kinflow", True)]
    assert all(row["ev_time_loss_s"] is not None for row in told["results"])
    assert {row["demand"] for row in told["results"]} == {"as-given"}
    assert told["results"][0]["vs_actuated"] == {"ratio": 1.0, "low95": 1.0, "high95": 1.0}
    assert told["results"][1]["vs_actuated"]["low95"] <= told["results"][1]["vs_actuated"]["high95"]
    assert sorted(config.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        (Setting(controllers=("max-pressure",)), ControllerUnknown),
        (Setting(demands=("enormous",)), DemandUnknown),
        (Setting(scenario="/nowhere/at.sumocfg"), ScenarioUnreadable),
        (Setting(scenario="grid", sensing="camera"), CamerasForOneSignal),
        (Setting(scenario="junction", sensing="camera", weather="drizzle"), WeatherUnknown),
    ],
)
def test_what_there_is_not_is_told_before_anything_runs(setting, error):
    with pytest.raises(error):
        measure(setting)


def test_cameras_are_told_beside_the_truth_on_the_same_seeds(monkeypatch):
    asked = []

    def run(spec, demand):
        asked.append((spec.controller, spec.sensing, spec.weather, spec.seed, spec.step_s, spec.warm_up_s))
        took_s = {"truth": 40.0, "truth-in-view": 42.0, "camera": 43.0}[spec.sensing] + spec.seed
        trips = dict.fromkeys(TripFigures.__struct_fields__, 0) | {"mean_travel_time_s": took_s}
        return RunFigures(
            trips=TripFigures(**trips), signals=1, steered=1, steps=1, wall_s=1.0, tick_p99_ms=None, tick_p50_ms=None,
            overruled=0, collisions=0,
        )  # fmt: skip

    monkeypatch.setattr(bench, "_run", run)
    told = measure(
        Setting(
            scenario="junction", demands=("light",), controllers=("actuated", "kinflow"), seeds=2, sensing="camera",
            weather="fog",
        )
    )  # fmt: skip
    assert (told.sensing, told.weather, told.warm_up_s) == ("camera", "fog", bench.WARM_UP_S)
    rows = {(row.controller, row.sensing): row for row in told.results}
    assert list(rows) == [
        ("actuated", "truth"), ("kinflow", "truth"), ("kinflow", "truth-in-view"), ("kinflow", "camera"),
    ]  # fmt: skip
    assert rows["kinflow", "camera"].vs_truth.ratio == pytest.approx((44 / 41 + 45 / 42) / 2, abs=1e-3)
    assert rows["kinflow", "truth"].vs_truth is None
    assert rows["kinflow", "camera"].vs_actuated.ratio == rows["kinflow", "camera"].vs_truth.ratio
    assert {one[2:] for one in asked} == {("fog", seed, bench.STEP_S, bench.WARM_UP_S) for seed in (1, 2)}
