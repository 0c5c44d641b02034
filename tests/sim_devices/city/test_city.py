"""The city: its site, its demand and SUMO itself."""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from random import Random

import numpy as np
import pytest

from protocol.geo import length_m, to_metres
from protocol.ids import BootId, IntersectionId, PhaseId
from protocol.messages.heartbeat import Aspect
from protocol.site import load_site
from protocol.site_check import check, faults
from sim_devices.city.city import CityPlan, Traffic, plan_city
from sim_devices.city.demand import Demand, profile
from sim_devices.city.layout import CityLayout
from sim_devices.city.net import prepare_net
from sim_devices.city.network import read_network
from sim_devices.city.site import ORIGIN, write_site
from sim_devices.city.vehicle import CityVehicle
from sim_devices.controller import core
from sim_devices.controller.wiring import Wiring
from sim_devices.errors import CityBuildFailed, SumoMissing, SumoStopped
from sim_devices.render.truth import measure

pytest.importorskip("libsumo", reason="needs SUMO")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("city")


@pytest.fixture(scope="session")
def plan(home: Path) -> CityPlan:
    return plan_city(CityLayout(), home)


class Junctions:
    """Simulated controllers that nobody steers: each runs its fixed plan on the city's own time."""

    def __init__(self, plan: CityPlan) -> None:
        self._states = {
            one.id: core.boot(Wiring.of(one), BootId("0" * 16), now_ms=0) for one in plan.site.intersections
        }

    def advance(self, dt_ms: int) -> dict[IntersectionId, dict[PhaseId, Aspect]]:
        for one, state in self._states.items():
            self._states[one], _ = core.step(state, core.Tick(dt_ms))
        return {one: state.aspects for one, state in self._states.items()}


def run(
    plan: CityPlan, seconds: float, seed: int = 1, level: str = "normal"
) -> tuple[Traffic, list[list[CityVehicle]]]:
    traffic, junctions = Traffic(plan, seed, level), Junctions(plan)
    try:
        steps = round(seconds / traffic.sumo.step_s)
        seen = [traffic.advance(junctions.advance(200)) for _ in range(steps)]
    finally:
        traffic.close()
    return traffic, seen


# -- the site


@pytest.mark.parametrize("layout", [CityLayout(), CityLayout(columns=3, rows=2), CityLayout(columns=1)])
def test_a_city_of_any_size_has_a_site_without_a_fault_or_a_hint(layout: CityLayout, home: Path) -> None:
    site = plan_city(layout, home).site
    assert check(site) == ()
    assert site.simulated
    assert len(site.intersections) == layout.columns * layout.rows
    assert all(len(one.approaches) == 4 for one in site.intersections)


def test_the_site_survives_being_written_and_read(plan: CityPlan, tmp_path: Path) -> None:
    write_site(plan.site, tmp_path / "deep" / "site.toml")
    assert load_site(tmp_path / "deep" / "site.toml") == plan.site
    assert faults(load_site(tmp_path / "deep" / "site.toml")) == ()


def test_every_pair_of_phases_is_judged_by_the_net(plan: CityPlan) -> None:
    for one in plan.site.intersections:
        pairs = {frozenset(pair) for pair in (*one.conflicts, *one.compatible)}
        assert pairs == {frozenset(pair) for pair in combinations([phase.id for phase in one.phases], 2)}
        together = {frozenset(pair) for pair in one.compatible}
        # Opposite throughs, opposite lefts, and one side's left and through: NEMA's rings and barriers, nothing else.
        expected = [(2, 6), (1, 5), (4, 8), (3, 7), (2, 5), (1, 6), (4, 7), (3, 8)]
        assert together == {frozenset(pair) for pair in expected}


def test_lanes_lead_to_approaches_and_exits(plan: CityPlan) -> None:
    site = plan.site
    east = next(one for one in site.intersection(IntersectionId("mill")).approaches if one.id == "mill-west")
    assert east.lanes[0].to == ("mill-south-exit", "station-west")
    assert east.lanes[1].to == ("station-west",)
    assert east.lanes[2].to == ("mill-north-exit",)
    assert [lane.phases for lane in east.lanes] == [(2,), (2,), (5,)]


def test_lines_run_with_the_traffic_and_end_at_the_stop_line(plan: CityPlan) -> None:
    mill = plan.site.intersection(IntersectionId("mill"))
    for approach in mill.approaches:
        (bx, by), (ex, ey) = (to_metres(point, ORIGIN) for point in (approach.line[0], approach.line[-1]))
        assert ex**2 + ey**2 < 25**2 < bx**2 + by**2
        assert length_m(approach.line) > approach.visible_length_m


# -- the network


def test_a_network_is_made_once(home: Path) -> None:
    path = prepare_net(CityLayout(columns=1), home)
    made = path.stat().st_mtime_ns
    assert prepare_net(CityLayout(columns=1), home) == path
    assert path.stat().st_mtime_ns == made
    assert prepare_net(CityLayout(columns=1, spacing_m=300.0), home) != path


def test_without_sumo_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(SumoMissing) as caught:
        prepare_net(CityLayout(), tmp_path)
    assert caught.value.code == "KF95"


def test_a_layout_that_netconvert_refuses_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(CityBuildFailed) as caught:
        prepare_net(CityLayout(speed_mps=-3.0), tmp_path)
    assert caught.value.code == "KF96"
    assert list((tmp_path / "sim").iterdir()) == []


def test_a_damaged_network_is_said_before_sumo_sees_it(plan: CityPlan, tmp_path: Path) -> None:
    whole = plan.network.path.read_text("utf-8")
    for number, damaged in enumerate((whole[: len(whole) // 2], "<net><edge", whole.replace("linkIndex", "lost"))):
        path = tmp_path / f"{number}.net.xml"
        path.write_text(damaged, "utf-8")
        with pytest.raises(CityBuildFailed) as caught:
            read_network(path)
        assert caught.value.code == "KF96"


def test_sumo_that_can_not_start_is_an_error_and_leaves_room_for_the_next(plan: CityPlan, tmp_path: Path) -> None:
    gone = replace(plan, network=replace(plan.network, path=tmp_path / "gone.net.xml"))
    with pytest.raises(SumoStopped, match="KF97"):
        Traffic(gone, seed=1)
    traffic = Traffic(plan, seed=1)
    with pytest.raises(RuntimeError, match="one simulation"):
        Traffic(plan, seed=2)
    traffic.close()
    Traffic(plan, seed=1).close()


# -- demand


def test_demand_is_the_same_however_time_is_cut(plan: CityPlan) -> None:
    coarse, fine = (Demand(plan.layout, plan.network, seed=4) for _ in range(2))
    all_at_once = coarse.until(300.0)
    random, t_s, piecewise = Random(1), 0.0, []
    while t_s < 300.0:
        t_s = min(300.0, t_s + random.uniform(0.05, 3.0))
        piecewise += fine.until(t_s)
    assert piecewise == all_at_once
    assert Demand(plan.layout, plan.network, seed=5).until(300.0) != all_at_once


def test_demand_builds_within_two_minutes_and_carries_every_kind(plan: CityPlan) -> None:
    assert profile(120.0) > 2 * profile(0.0)
    trips = Demand(plan.layout, plan.network, seed=4, level="heavy").until(3600.0)
    kinds = {trip.kind for trip in trips}
    assert kinds >= {"car", "van", "bus", "truck", "motorcycle", "ambulance", "police", "fire-engine"}
    assert any(trip.beacons for trip in trips)
    assert all(trip.kind in ("ambulance", "police", "fire-engine") for trip in trips if trip.beacons)


# -- SUMO


def test_traffic_moves_without_a_collision_and_the_same_seed_repeats_it(plan: CityPlan) -> None:
    traffic, seen = run(plan, 60.0)
    assert traffic.sumo.collisions == 0
    assert max(len(now) for now in seen) > 15
    last = {one.id: one for one in seen[-1]}
    earlier = {one.id: one for one in seen[-50]}
    moved = [
        abs(last[name].x_m - earlier[name].x_m) + abs(last[name].y_m - earlier[name].y_m)
        for name in last
        if name in earlier
    ]
    assert max(moved) > 50

    def digest(moments: list[list[CityVehicle]]) -> str:
        return hashlib.sha256(repr(moments).encode()).hexdigest()

    assert digest(run(plan, 60.0)[1]) == digest(seen)
    assert digest(run(plan, 60.0, seed=2)[1]) != digest(seen)


def test_occupancy_rises_as_traffic_builds(plan: CityPlan) -> None:
    _, seen = run(plan, 140.0, level="heavy")

    def occupancy(moments: list[list[CityVehicle]]) -> float:
        views = plan.views.values()
        values = [
            measure(view.road, view.look(now), 0.0, ((0.0, 0.0),) * 4).occupancy
            for now in moments[::10]
            for view in views
        ]
        return float(np.mean(values))

    assert occupancy(seen[-150:]) > 3 * occupancy(seen[:150])


def test_a_red_light_is_obeyed_and_a_junction_starts_all_red(plan: CityPlan) -> None:
    traffic = Traffic(plan, seed=1, level="heavy")
    try:
        for _ in range(300):
            vehicles = traffic.advance({})
    finally:
        traffic.close()
    assert vehicles
    assert not any(one.lane.startswith(":") for one in vehicles), "somebody is inside a junction"


def test_conflicting_links_are_never_green_together_under_the_controllers_plan(plan: CityPlan) -> None:
    """Two whole cycles; a link counts from its green until a conflicting phase may start, so yellow counts too."""
    traffic, junctions = Traffic(plan, seed=1), Junctions(plan)
    served: dict[str, set[int]] = {one: set() for one in plan.links}
    try:
        for _ in range(1000):
            for intersection, aspects in junctions.advance(200).items():
                state = traffic.sumo.set_aspects(intersection, aspects)
                lit = [index for index, sign in enumerate(state) if sign != "r"]
                assert not any(frozenset(pair) in plan.network.foes[intersection] for pair in combinations(lit, 2))
                served[intersection].update(lit)
    finally:
        traffic.close()
    assert all(served[one] == set(range(len(plan.network.links[one]))) for one in plan.links), "every link had green"


def test_every_vehicle_is_where_its_camera_says(plan: CityPlan) -> None:
    """Vehicles on an approach's lanes lie in those lanes of its road frame, and drive towards the camera."""
    _, seen = run(plan, 60.0)
    checked = 0
    for view in plan.views.values():
        for one in seen[-1]:
            edge, _, lane = one.lane.rpartition("_")
            (shown,) = view.look([one]) or (None,)
            if edge != view.approach or shown is None or shown.y_m > 180:
                continue
            low, high = view.road.lane_bounds()[int(lane)]
            assert low - 3.3 < shown.x_m < high + 3.3  # a lane change takes two seconds
            assert abs(shown.heading_rad) < 0.35
            assert shown.y_m > 0
            checked += 1
    assert checked > 5
