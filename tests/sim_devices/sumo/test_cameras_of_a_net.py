"""Rendered cameras at a junction of a SUMO net, and the agent's perception behind them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field, replace

import msgspec
import pytest

from edge_server.signals.layout import layouts
from protocol.ids import ApproachId
from sim_devices.city.vehicle import CityVehicle
from sim_devices.errors import ApproachUnwatchable, WeatherUnknown
from sim_devices.sumo.approach_views import views_of, watched
from sim_devices.sumo.net import read_net
from sim_devices.sumo.programme import Programme, Step
from sim_devices.sumo.rendered import RenderedCamera, weather_of
from sim_devices.sumo.run import RunFigures, RunSpec
from sim_devices.sumo.signals import derive
from sim_devices.sumo.site import make_site
from sim_devices.sumo.watching import LATE_MS, Watching
from tests.sim_devices.sumo.sumo_nets import make, programmes

LANE_M = 3.2


@dataclass
class Roads:
    """What views_of asks of libsumo: one junction at (0, 0), four roads, bent so far from it."""

    net: object
    bent_at_m: float = 1e9
    lane: Roads = field(init=False)

    def __post_init__(self):
        self.lane = self

    def getShape(self, lane):
        own = self.net.lanes[lane]
        begins, ends = (self.net.positions[one] for one in self.net.ends[own.edge])
        length = ((ends[0] - begins[0]) ** 2 + (ends[1] - begins[1]) ** 2) ** 0.5
        ux, uy = (ends[0] - begins[0]) / length, (ends[1] - begins[1]) / length
        aside = LANE_M * (2.5 - int(lane.rsplit("_", 1)[1]))

        def at(along, beside=0.0):
            across = aside + beside
            return begins[0] + uy * across + ux * along, begins[1] - ux * across + uy * along

        bend = own.length_m - self.bent_at_m
        return (at(0.0), at(own.length_m)) if bend <= 0 else (at(0.0, 50.0), at(bend), at(own.length_m))

    def getLinks(self, lane):
        return [(way.to_lane, 0, 0, 0, 0, 0, "s") for way in self.net.ways.get(lane, ())]


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    return read_net(make("one-lane", tmp_path_factory.mktemp("net")))


@pytest.fixture(scope="module")
def junction(net):
    name, steps = next(iter(programmes(net.path).items()))
    programme = Programme(tuple(Step(round(seconds * 1000), state) for seconds, state in steps))
    return derive(net, [name], [programme], 1)


def vehicle(view, at_m, lane=0, speed_mps=0.0):
    """A car whose front is at_m before the stop line."""
    (ox, oy), (ux, uy) = view.origin, view.upstream
    across = view.road.lane_centre_m(lane)
    x, y = ox + ux * at_m + uy * across, oy + uy * at_m - ux * across
    heading = {(1.0, 0.0): 270.0, (-1.0, 0.0): 90.0, (0.0, 1.0): 180.0, (0.0, -1.0): 0.0}[round(ux), round(uy)]
    return CityVehicle(f"at-{at_m}", "car", x, y, heading, 4.5, 1.8, 1.5, speed_mps, "", False)


def test_a_vehicle_at_the_stop_line_is_at_the_near_edge_of_its_lane(net, junction):
    for view in views_of(net, junction, Roads(net)).values():
        (drawn,) = view.look([vehicle(view, 0.0)])
        assert drawn.y_m == pytest.approx(0.0, abs=1e-6)
        assert drawn.x_m == pytest.approx(view.road.lane_centre_m(0), abs=1e-6)
        assert drawn.heading_rad == pytest.approx(0.0, abs=1e-6)


def test_what_a_camera_sees_is_written_into_the_site(net, junction):
    views = views_of(net, junction, Roads(net, bent_at_m=40.0))
    site = make_site(net, [watched(junction, views)])
    lengths = {approach.visible_length_m for approach in site.intersections[0].approaches}
    assert all(38.0 < length < 42.0 for length in lengths)


def test_a_road_that_bends_at_its_stop_line_is_refused(net, junction):
    with pytest.raises(ApproachUnwatchable, match="KF308"):
        views_of(net, junction, Roads(net, bent_at_m=8.0))


def test_a_weather_that_nobody_can_draw_is_refused():
    with pytest.raises(WeatherUnknown, match="drizzle"):
        weather_of("drizzle")


class Standing:
    """A road on which nobody drives until `vehicles_now` says so."""

    def __init__(self):
        self.now = []

    def vehicles(self):
        return self.now


@pytest.fixture
def watching(net, junction):
    """One camera over a road of one lane, without a detector."""
    approach, view = next(iter(views_of(net, junction, Roads(net)).items()))
    view = replace(view, road=replace(view.road, lane_widths_m=(LANE_M,)))
    camera, road = RenderedCamera(view, weather_of("overcast"), 3), Standing()
    site = make_site(net, [watched(junction, dict.fromkeys(junction.stop_lanes, view))])
    layout = layouts(site)[site.intersections[0].id]
    agents = Watching(
        {approach: camera}, layout.approaches, road, 0, seed=1, picture_ms=500, detect_every=0
    )  # fmt: skip
    return view, camera, road, agents, ApproachId(approach)


def seen_after(agents, from_ms, until_ms):
    found = {}
    for now_ms in range(from_ms, until_ms, 500):
        agents.step(now_ms)
        found.update(agents.look(now_ms))
    return found


def test_what_stands_is_seen_to_stand_once_the_empty_road_is_known(watching):
    view, _, road, agents, approach = watching
    empty = seen_after(agents, 0, 8_000)[approach].lanes
    road.now = [vehicle(view, at_m) for at_m in (1.0, 8.0, 15.0, 22.0)]
    queue = seen_after(agents, 8_000, 14_000)[approach].lanes
    assert sum(lane.mean for lane in empty) < 0.7
    assert sum(lane.mean for lane in queue) == pytest.approx(4.0, abs=1.2)
    assert sum(lane.standing for lane in queue) > 2.0


def test_nothing_but_pictures_tells_of_vehicles(watching):
    view, camera, road, agents, approach = watching
    draw = camera.take
    camera.take = lambda vehicles, t_s: draw([], t_s)
    road.now = [vehicle(view, at_m) for at_m in (1.0, 8.0, 15.0, 22.0)]
    assert sum(lane.mean for lane in seen_after(agents, 0, 10_000)[approach].lanes) < 0.7


def test_a_picture_is_at_the_edge_when_it_is_late_enough(watching):
    *_, agents, approach = watching
    seen_after(agents, 0, 6_000)
    agents.look(6_000)
    agents.step(6_000)
    assert agents.look(6_000 + LATE_MS - 1) == {}
    assert agents.look(6_000 + LATE_MS)[approach].seen_ms == 6_000


def test_a_junction_is_steered_by_what_is_seen_in_pictures(tmp_path):
    from sim_devices.sumo import grid  # noqa: PLC0415

    net = make("one-lane", tmp_path)
    grid.write_demand(net, tmp_path / "some.rou.xml", rate_veh_h=1500, seed=1, ev_per_hour=0, peak=1.0)
    arguments = ("--net-file", str(net), "--route-files", str(tmp_path / "some.rou.xml"))
    spec = RunSpec(
        arguments=arguments, controller="kinflow", seed=1, sensing="camera", weather="fog", minutes=0.3, step_s=0.5,
        warm_up_s=12, picture_ms=1000, detect_every=4,
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "sim_devices.sumo.run"], input=msgspec.json.encode(spec), capture_output=True,
        check=True, timeout=120,
    )  # fmt: skip
    figures = msgspec.json.decode(done.stdout, type=RunFigures)
    assert figures.belief is not None
    assert figures.belief.told > 0.9
    assert figures.trips.vehicles > 3
    assert figures.collisions == 0
