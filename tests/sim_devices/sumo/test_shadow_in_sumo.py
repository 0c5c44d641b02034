"""What the shadow report makes of a fixed plan in SUMO, beside what came of it when ours steered the same vehicles.

`pytest -s -m slow tests/sim_devices/sumo/test_shadow_in_sumo.py` prints the figures that docs/modes.md quotes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pytest

from edge_server.signals.controller import controller
from edge_server.signals.safety import Verdict
from edge_server.signals.shadow.beside import Beside
from sim_devices.sumo import run as runs
from sim_devices.sumo.grid import DEMANDS_VEH_H, make_grid, write_demand
from sim_devices.sumo.signal_loop import SignalLoop

NOTHING = Verdict(None, overruled=False, reason="")


class Shadowed(SignalLoop):
    """A junction with ours in thought beside it; counts who halts at its stop lines."""

    every: ClassVar[list[Shadowed]] = []

    def __init__(self, *given, **named) -> None:
        super().__init__(*given, **named)
        self.beside = Beside(self.layout, controller("kinflow"))
        self.halted_s = 0
        self.every.append(self)

    def _command(self, view, sights, now_ms) -> None:
        import libsumo  # noqa: PLC0415

        super()._command(view, sights, now_ms)
        self.beside.look(view, sights, NOTHING, now_ms, agrees=False)
        for lanes in self.one.stop_lanes.values():
            self.halted_s += sum(map(libsumo.lane.getLastStepHaltingNumber, lanes))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("sensing", ["truth", "camera-like"])
@pytest.mark.parametrize("demand", ["light", "heavy"])
def test_the_estimate_promises_no_more_than_came_of_it(demand, sensing, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(runs, "SignalLoop", Shadowed)
    net = make_grid(tmp_path, crossings=False)
    routes = tmp_path / "r.xml"
    write_demand(net, routes, rate_veh_h=DEMANDS_VEH_H[demand], seed=1, ev_per_hour=0)
    found = {}
    for name in ("fixed", "kinflow"):
        Shadowed.every.clear()
        spec = runs.RunSpec(
            arguments=("--net-file", str(net), "--route-files", str(routes)),
            controller=name,
            seed=1,
            minutes=20,
            sensing=sensing,
            webster=True,
        )
        runs.run(spec)
        found[name] = list(Shadowed.every)
    halted = {name: sum(one.halted_s for one in some) for name, some in found.items()}
    tallies = [one.beside.tally for one in found["fixed"]]
    estimate = sum(one.ours.queue_vehicle_ms for one in tallies) / sum(one.real.queue_vehicle_ms for one in tallies)
    truth = halted["kinflow"] / halted["fixed"]
    model = sum(one.standing_model_ms for one in tallies) / sum(one.standing_vehicle_ms for one in tallies)
    said = {"demand": demand, "sensing": sensing, "true_ratio": truth, "estimate": estimate, "model_ratio": model}
    print(json.dumps(said))
    assert truth < 1.0
    assert truth - 0.05 < estimate < 1.0
