"""The parts of the simulated side that need no broker and no SUMO."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from node.broker.memory import MemoryBroker
from node.clock import ManualClock
from node.identity import Identity
from protocol.geo import to_metres
from protocol.ids import ApproachId, CameraId, DeviceId, IntersectionId, LaneId, PhaseId, SiteId, StageId
from protocol.messages import Observation, VehiclePosition
from protocol.site import Approach, Intersection, Lane, Phase, Plan, PlanStep, Site, Stage
from sim_devices.cameras import FrameRate
from sim_devices.city.site import ORIGIN
from sim_devices.city.vehicle import CityVehicle
from sim_devices.render.truth import Truth
from sim_devices.shared_client import SharedClient
from sim_devices.truth import TruthSensor
from sim_devices.vehicles import FLEET, Fleet, Unit, fleet_devices

CAMERA = CameraId("north-camera")


def site() -> Site:
    approach = Approach(
        id=ApproachId("north"),
        line=((0.0, 0.001), (0.0, 0.0)),
        speed_limit_mps=13.9,
        camera=CAMERA,
        road_width_m=6.6,
        visible_length_m=60.0,
        lanes=(Lane(id=LaneId("lane-1"), phases=(PhaseId(1),)), Lane(id=LaneId("lane-2"), phases=(PhaseId(1),))),
    )
    intersection = Intersection(
        id=IntersectionId("one"),
        position=(0.0, 0.0),
        controller=DeviceId("one-controller"),
        approaches=(approach,),
        phases=(Phase(id=PhaseId(1)),),
        stages=(Stage(id=StageId("all"), phases=(PhaseId(1),)),),
        plan=Plan(steps=(PlanStep(stage=StageId("all"), green_s=20.0),)),
    )
    return Site(id=SiteId("site"), intersections=(intersection,))


def truth(occupancy: float) -> Truth:
    return Truth(0.0, occupancy, (occupancy, 0.0), 12.0, (12.0, 0.0), 3, 2.5, ((0.0, 0.0),) * 4)


class Told:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.said: list[Observation] = []
        self.sensor = TruthSensor(Identity(DeviceId("simulated-truth"), self.clock), site(), self._take)

    def _take(self, observation: Observation, camera: CameraId) -> None:
        assert camera == CAMERA
        self.said.append(observation)


# -- the sensor that knows


def test_the_truth_is_told_as_it_is_and_named_so() -> None:
    told = Told()
    told.sensor.see(CAMERA, truth(0.21), frame=7, emergency=True)
    (one,) = told.said
    assert one.sensor == "simulated-truth"
    assert (one.occupancy.low, one.occupancy.value, one.occupancy.high) == (0.21, 0.21, 0.21)
    assert one.index.value == pytest.approx(0.6)
    assert (one.congestion, one.status, one.calibrated, one.emergency) == ("dense", "ok", True, "present")
    assert one.queue_m is not None
    assert one.queue_m.value == 12.0
    assert [(lane.lane, lane.occupancy.value) for lane in one.lanes] == [("lane-1", 0.21), ("lane-2", 0.0)]
    assert (one.captured_mono_ms, one.frame, one.seq) == (told.clock.monotonic_ms(), 7, 1)


def test_it_is_told_twice_a_second_and_at_once_when_the_class_or_an_emergency_changes() -> None:
    told = Told()
    for _ in range(50):  # ten seconds of steps
        told.sensor.see(CAMERA, truth(0.02), frame=0, emergency=False)
        told.clock.advance(200)
    regular = len(told.said)
    assert 15 <= regular <= 20
    told.sensor.see(CAMERA, truth(0.02), frame=0, emergency=False)
    told.sensor.see(CAMERA, truth(0.30), frame=0, emergency=False)
    told.sensor.see(CAMERA, truth(0.30), frame=0, emergency=True)
    assert [one.emergency for one in told.said[-2:]] == ["absent", "present"]
    assert told.said[-1].congestion == "jam"
    assert [one.seq for one in told.said] == list(range(1, len(told.said) + 1))


# -- the fleet


def vehicle(name: str, kind: str = "ambulance", x_m: float = 100.0, beacons: bool = True) -> CityVehicle:
    return CityVehicle(name, kind, x_m, 50.0, 90.0, 6.0, 2.0, 2.5, 11.0, "mill-north_0", beacons)  # type: ignore[arg-type]


class Radio:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.said: list[VehiclePosition] = []
        self.fleet = Fleet({one: Unit(Identity(one, self.clock), self.said.append) for one in fleet_devices()})

    def step(self, *vehicles: CityVehicle) -> None:
        self.fleet.tell(vehicles, self.clock.monotonic_ms())
        self.clock.advance(200)


def test_each_unit_speaks_once_a_second_from_where_it_is() -> None:
    radio = Radio()
    for _ in range(10):
        radio.step(vehicle("ambulance-17"), vehicle("car-3", kind="car"))
    assert len(radio.said) == 2
    one = radio.said[0]
    assert (one.source, one.role, one.beacons, one.heading_deg) == ("ambulance-1", "ambulance", True, 90.0)
    assert to_metres((one.longitude, one.latitude), ORIGIN) == pytest.approx((100.0, 50.0), abs=0.01)


def test_a_unit_is_free_again_when_its_vehicle_has_left_and_two_never_share_one() -> None:
    radio = Radio()
    crowd = [vehicle(f"ambulance-{n}") for n in range(10, 10 + FLEET + 1)]
    radio.step(*crowd)
    assert [one.source for one in radio.said] == [f"ambulance-{n}" for n in range(1, FLEET + 1)]
    for _ in range(5):
        radio.step(*crowd[1:])
    assert {one.source for one in radio.said[FLEET:]} == {f"ambulance-{n}" for n in range(1, FLEET + 1)}
    assert [one.seq for one in radio.said if one.source == "ambulance-1"] == [1, 2]


# -- several devices on one connection


def test_a_shared_connection_tells_each_device_once_of_each_change() -> None:
    broker = MemoryBroker()
    inner = broker.client("shared")
    one = SharedClient(inner)
    told: list[bool] = []
    one.watch(told.append)
    inner.start()
    broker.start()
    wait_for(lambda: inner.connected)
    one.start()
    wait_for(lambda: True in told)
    broker.stop()
    wait_for(lambda: told[-1] is False)
    one.stop()
    assert inner.connected is False
    assert told.count(True) == 1
    inner.stop()


def wait_for(condition: Callable[[], object], deadline_s: float = 10.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# -- how often cameras are rendered


def run_rate(rate: FrameRate, cost_s: float, steps: int) -> int:
    taken = 0
    for _ in range(steps):
        if rate.due():
            taken += 1
            rate.spent(cost_s)
    return taken


def test_a_fast_machine_renders_every_step() -> None:
    rate = FrameRate(step_s=0.2)
    assert run_rate(rate, 0.05, 200) == 200
    assert rate.frames_per_s == pytest.approx(5.0)


def test_a_slow_machine_renders_less_often_and_recovers() -> None:
    rate = FrameRate(step_s=0.2)
    run_rate(rate, 0.2, 400)
    assert rate.frames_per_s == pytest.approx(2.5)
    run_rate(rate, 5.0, 400)
    assert rate.every == FrameRate.SLOWEST
    run_rate(rate, 0.01, 600)
    assert rate.frames_per_s == pytest.approx(5.0)


@pytest.mark.parametrize("cost_s", [0.119, 0.121, 0.17, 0.239, 0.241])
def test_the_rate_settles(cost_s: float) -> None:
    rate = FrameRate(step_s=0.2)
    run_rate(rate, cost_s, 500)
    settled = rate.every
    for _ in range(200):
        run_rate(rate, cost_s, 1)
        assert rate.every == settled
