"""Whole runs, each in a child process, as the bench does them."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from sim_devices.sumo import grid
from sim_devices.sumo.run import RunFigures, RunSpec
from tests.sim_devices.sumo.sumo_nets import make


@pytest.fixture(scope="module")
def crossing(tmp_path_factory):
    """A net of one junction, and a quarter of an hour of traffic on it."""
    folder = tmp_path_factory.mktemp("net")
    net = make("left-turns", folder)
    routes = folder / "some.rou.xml"
    grid.write_demand(net, routes, rate_veh_h=1500, seed=1, ev_per_hour=30)
    return ("--net-file", str(net), "--route-files", str(routes))


def figures(crossing, controller, **more) -> RunFigures:
    spec = RunSpec(arguments=crossing, controller=controller, seed=1, minutes=12, **more)
    done = subprocess.run(
        [sys.executable, "-m", "sim_devices.sumo.run"], input=msgspec.json.encode(spec), capture_output=True,
        check=True, timeout=120,
    )  # fmt: skip
    return msgspec.json.decode(done.stdout, type=RunFigures)


def test_ours_waits_less_than_fixed_and_actuated(crossing):
    ours, actuated, fixed = (figures(crossing, name) for name in ("kinflow", "actuated", "fixed"))
    assert ours.trips.vehicles == actuated.trips.vehicles == fixed.trips.vehicles > 200
    assert ours.trips.mean_time_loss_s < actuated.trips.mean_time_loss_s < fixed.trips.mean_time_loss_s
    assert ours.collisions == 0
    assert ours.trips.ev_vehicles > 0
    assert ours.trips.ev_time_loss_s is not None


def test_an_emergency_vehicle_loses_less_with_a_lease(crossing):
    free, leased = (figures(crossing, "kinflow", preemption=one) for one in (False, True))
    assert leased.trips.ev_vehicles == free.trips.ev_vehicles > 0
    assert leased.trips.ev_time_loss_s < free.trips.ev_time_loss_s


def test_the_same_seed_gives_the_same_figures(crossing):
    one, other = (figures(crossing, "kinflow_nema", sensing="camera-like", loss=0.3) for _ in range(2))
    assert one.trips == other.trips


@pytest.mark.parametrize("more", [{"delay_ms": 500}, {"loss": 1.0}, {"dead_share": 1.0}])
def test_what_is_late_lost_or_dead_stops_nobody(crossing, more):
    hurt = figures(crossing, "kinflow", sensing="camera-like", **more)
    fixed = figures(crossing, "fixed")
    assert hurt.trips.arrived > 0.9 * fixed.trips.arrived
    assert hurt.collisions == 0
