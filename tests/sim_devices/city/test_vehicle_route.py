"""The simulated city's emergency vehicles ask for the signals of their way, and only a simulated site believes them."""

from __future__ import annotations

import stat
from itertools import pairwise

import pytest

from edge_server.signals.preemption.desk import PreemptionDesk
from edge_server.signals.preemption.route import Ways as SiteWays
from edge_server.signals.preemption.route import read_route
from edge_server.signals.preemption.signature import proof
from edge_server.signals.preemption.vehicles import FILE_NAME, VehicleEntry, VehicleFile, read_file, write_file
from edge_server.signals.preemption.wave_desk import WaveDesk
from node.clock import ManualClock
from node.identity import Identity
from protocol.errors import KinflowError
from protocol.ids import DeviceId
from sim_devices.city.city import Traffic, plan_city
from sim_devices.city.layout import CityLayout
from sim_devices.city.vehicle import CityVehicle
from sim_devices.vehicle_keys import enter_fleet, fleet_keys
from sim_devices.vehicle_route import Asking, Ways
from sim_devices.vehicles import fleet_devices
from tests.edge_server.signals.preemption.desk_kit import KEYS, public
from tests.edge_server.signals.preemption.wave_kit import road

UNIT = DeviceId("ambulance-1")


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return plan_city(CityLayout(), tmp_path_factory.mktemp("city"))


def ambulance(*ahead: str, stop_m: float = 200.0, beacons: bool = True) -> CityVehicle:
    return CityVehicle(
        "ambulance-7", "ambulance", 0.0, 0.0, 90.0, 6.0, 2.0, 2.5, 11.0, "lane", beacons, ahead, stop_m
    )  # fmt: skip


def test_its_way_is_one_that_the_site_knows_and_ends_where_the_city_does(plan):
    legs = Ways(plan.site, plan.network).legs(ambulance("mill-west", "station-west", "station-east-exit"))
    route = read_route(SiteWays.of(plan.site), legs)
    assert ([one.leg.intersection for one in route.own], route.fault) == (["mill", "station"], None)
    assert route.own[0].distance_m == 200
    assert 250 < route.own[1].distance_m - 200 < 280, "a block is 260 m long"
    assert Ways(plan.site, plan.network).legs(ambulance("station-east-exit")) == ()


def test_it_asks_while_its_beacons_are_on_and_lets_go_once(plan, tmp_path):
    enter_fleet(tmp_path)
    clock = ManualClock()
    keys = fleet_keys(tmp_path, fleet_devices())
    asking = Asking(Identity(UNIT, clock), "ambulance", keys[UNIT], Ways(plan.site, plan.network))
    assert asking.say(ambulance("mill-west", "mill-east-exit", beacons=False)) is None
    said = []
    for vehicle in (ambulance("mill-west", "station-west"), ambulance("mill-west", "station-west"), None, None):
        clock.advance(1_000)
        said.append(asking.say(vehicle))
    assert [one.action for one in said[:3]] == ["request", "renew", "cancel"]
    assert said[3] is None
    assert all(proof(one, keys[UNIT].public_key()) == "verified" for one in said[:3])
    assert said[0].sequence < said[1].sequence < said[2].sequence


def test_its_key_is_its_own_and_an_entry_of_somebody_elses_stays(tmp_path):
    real = VehicleEntry(id=UNIT, role="ambulance", key=public(KEYS[UNIT]))
    write_file(tmp_path / FILE_NAME, VehicleFile((real,)))
    enter_fleet(tmp_path)
    first = read_file(tmp_path / FILE_NAME)
    assert first.vehicle[0] == real
    assert {one.id for one in first.vehicle} == set(fleet_devices())
    assert all(one.simulated for one in first.vehicle[1:])
    enter_fleet(tmp_path)
    assert read_file(tmp_path / FILE_NAME) == first
    assert UNIT not in fleet_keys(tmp_path, fleet_devices())
    mode = (tmp_path / "sim" / "vehicle-keys" / "police-1.key").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_simulated_vehicle_is_believed_by_a_simulated_site_alone(plan, tmp_path):
    enter_fleet(tmp_path)
    clock = ManualClock(monotonic_ms=100_000)
    key = fleet_keys(tmp_path, fleet_devices())[UNIT]
    message = Asking(Identity(UNIT, clock), "ambulance", key, Ways(plan.site, plan.network)).say(
        ambulance("mill-west", "station-west", "station-east-exit")
    )
    desk = PreemptionDesk(plan.site, Identity(DeviceId("edge-a"), clock), tmp_path)
    assert [one.status for one in WaveDesk(plan.site, desk).ask(message)] == ["granted", "requested"]
    desk.stop()
    real = road("mill", "station", site=plan.site.id)
    desk = PreemptionDesk(real, Identity(DeviceId("edge-a"), clock), tmp_path)
    with pytest.raises(KinflowError) as refused:
        WaveDesk(real, desk).ask(message)
    assert refused.value.code == "KF310"
    desk.stop()


def test_sumo_tells_how_far_a_vehicle_has_to_go(plan):
    """Any emergency vehicle of the first minutes: what it says of its way shrinks as it drives."""
    traffic = Traffic(plan, seed=3, level="heavy")
    ways = Ways(plan.site, plan.network)
    try:
        green = {name: dict.fromkeys(links, "green") for name, links in plan.links.items()}
        found: dict[str, list[int]] = {}
        for _ in range(3_000):
            for vehicle in traffic.advance(green):
                if vehicle.ahead:
                    found.setdefault(vehicle.id, []).append(sum(leg.distance_m for leg in ways.legs(vehicle)))
            if any(way[-1] == 0 and way[0] > 100 for way in found.values()):
                break
        way = next(way for way in found.values() if way[-1] == 0 and way[0] > 100)
        rises = [after - before for before, after in pairwise(way) if after > before]
        assert sum(rises) <= 60, "crossing a junction may look like a little more way, once each"
    finally:
        traffic.close()
