"""Scripted traffic on one approach, without SUMO: for tests and for judging an estimate against the truth.

Vehicles follow the intelligent driver model (Treiber, Hennecke, Helbing 2000, Phys. Rev. E 62, 1805) on their own lane,
come by a Poisson process and obey a signal at the stop line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import pi, sqrt

import numpy as np

from sim_devices.render.road import Road
from sim_devices.render.vehicle import EMERGENCY_KINDS, Kind, RoadVehicle, vehicle_of_kind

STEP_S = 0.1
ENTRY_M = 140.0
GONE_M = -24.0
DESIRED_MPS = 13.0
HEADWAY_S, STANDSTILL_M, ACCELERATION_MPS2, BRAKING_MPS2 = 1.3, 2.0, 1.6, 2.2
HARDEST_MPS2 = 7.0
STOP_BEFORE_M = 1.0

Mix = tuple[tuple[Kind, float], ...]
MIX: Mix = (
    ("car", 0.76), ("van", 0.08), ("truck", 0.05), ("bus", 0.04), ("motorcycle", 0.05), ("bicycle", 0.02),
)  # fmt: skip


@dataclass(frozen=True)
class Act:
    """For duration_s: vehicles_per_lane_h come on each lane, opposite_per_lane_h drive away, and the signal is green or
    red. emergency: send one ambulance at the beginning, beacons on."""

    duration_s: float
    vehicles_per_lane_h: float
    green: bool
    opposite_per_lane_h: float = 250.0
    emergency: bool = False


Script = tuple[Act, ...]

SCRIPTS: dict[str, Script] = {
    "empty": (Act(60, 0, True, opposite_per_lane_h=0),),
    "free-flow": (Act(90, 420, True),),
    "queue": (Act(20, 450, True), Act(40, 900, False), Act(60, 500, False), Act(45, 300, True)),
    "standing": (Act(30, 1300, False), Act(120, 0, False)),
    "cycles": tuple(Act(30, 650, green) for _ in range(3) for green in (False, True)),
    "emergency": (Act(15, 500, False), Act(15, 500, False, emergency=True), Act(25, 300, True)),
}


@dataclass
class _Driver:
    id: str
    kind: Kind
    lane: int
    front_m: float
    speed_mps: float
    desired_mps: float
    away: bool
    sway_m: float
    beacons: bool = False
    size: RoadVehicle = field(init=False)

    def __post_init__(self) -> None:
        self.size = vehicle_of_kind(self.id, self.kind, 0.0, 0.0)


def play(
    road: Road, script: Script | str, seed: int, fps: float = 5.0, mix: Mix = MIX
) -> Iterator[tuple[float, list[RoadVehicle]]]:
    """The vehicles at t = 0, 1/fps, … seconds. `script` may be the name of one of SCRIPTS; `mix`: each kind's share."""
    acts = SCRIPTS[script] if isinstance(script, str) else script
    stage = _Stage(road, np.random.default_rng((seed, 0x5E)), mix)
    frame, step, ends = 0, 0, 0.0
    for act in acts:
        if act.emergency:
            stage.send("ambulance", len(road.lane_widths_m) - 1, beacons=True)
        ends += act.duration_s
        while step * STEP_S < ends - 1e-9:
            stage.advance(act)
            step += 1
            while frame / fps <= step * STEP_S + 1e-9 and frame / fps < ends:
                yield frame / fps, stage.vehicles()
                frame += 1


class _Stage:
    def __init__(self, road: Road, random: np.random.Generator, mix: Mix) -> None:
        self.road = road
        self.mix = mix
        self.random = random
        self.drivers: list[_Driver] = []
        self.sent = 0

    def send(self, kind: Kind, lane: int, beacons: bool = False, away: bool = False) -> None:
        self.sent += 1
        desired = DESIRED_MPS * self.random.uniform(0.85, 1.15) * (0.45 if kind == "bicycle" else 1.0)
        start, speed = (-6.0 if away else ENTRY_M), desired * 0.8
        ahead = max((d for d in self.drivers if d.lane == lane and not d.away), key=lambda d: d.front_m, default=None)
        if ahead is not None and not away:
            rear = ahead.front_m + ahead.size.length_m
            start = max(start, rear + 6.0)
            # Slow enough to stop behind it with 3 m/s2.
            speed = min(speed, sqrt(ahead.speed_mps**2 + 2 * 3.0 * (start - rear - 4.0)))
        sway = self.random.uniform(-0.25, 0.25)
        name = f"{kind}-{self.sent}"
        self.drivers.append(_Driver(name, kind, lane, start, speed, desired, away, sway, beacons))

    def advance(self, act: Act) -> None:
        for away, rate, lanes in (
            (False, act.vehicles_per_lane_h, len(self.road.lane_widths_m)),
            (True, act.opposite_per_lane_h, len(self.road.opposite_widths_m)),
        ):
            for lane in range(lanes):
                if self.random.random() < rate * STEP_S / 3600:
                    kinds, shares = zip(*self.mix, strict=True)
                    self.send(kinds[self.random.choice(len(kinds), p=shares)], lane, away=away)
        for lane in range(len(self.road.lane_widths_m)):
            self._drive(
                sorted((d for d in self.drivers if d.lane == lane and not d.away), key=lambda d: d.front_m), act
            )
        for lane in range(len(self.road.opposite_widths_m)):
            leaving = sorted((d for d in self.drivers if d.lane == lane and d.away), key=lambda d: -d.front_m)
            self._leave(leaving)
        self.drivers = [d for d in self.drivers if d.front_m > GONE_M and not (d.away and d.front_m > ENTRY_M)]

    def _drive(self, queue: list[_Driver], act: Act) -> None:
        """queue: nearest to the stop line first."""
        ahead: _Driver | None = None
        for driver in queue:
            gaps = []
            if ahead is not None:
                gaps.append((driver.front_m - ahead.front_m - ahead.size.length_m, ahead.speed_mps))
            to_line = driver.front_m - STOP_BEFORE_M
            if not act.green and to_line > driver.speed_mps**2 / (2 * HARDEST_MPS2) - 0.3 and driver.front_m > 0:
                gaps.append((to_line + STANDSTILL_M, 0.0))
            self._move(driver, gaps, -1)
            ahead = driver

    def _leave(self, queue: list[_Driver]) -> None:
        """queue: farthest first."""
        ahead: _Driver | None = None
        for driver in queue:
            gaps = [] if ahead is None else [(ahead.front_m - ahead.size.length_m - driver.front_m, ahead.speed_mps)]
            self._move(driver, gaps, 1)
            ahead = driver

    @staticmethod
    def _move(driver: _Driver, gaps: list[tuple[float, float]], sign: int) -> None:
        v = driver.speed_mps
        pull = ACCELERATION_MPS2 * (1 - (v / driver.desired_mps) ** 4)
        for gap, speed_ahead in gaps:
            closing = v * (v - speed_ahead) / (2 * sqrt(ACCELERATION_MPS2 * BRAKING_MPS2))
            wanted = STANDSTILL_M + max(0.0, v * HEADWAY_S + closing)
            free = ACCELERATION_MPS2 * (1 - (v / driver.desired_mps) ** 4)
            pull = min(pull, free - ACCELERATION_MPS2 * (wanted / max(gap, 0.1)) ** 2)
        driver.speed_mps = max(0.0, v + max(-HARDEST_MPS2, pull) * STEP_S)
        driver.front_m += sign * driver.speed_mps * STEP_S

    def vehicles(self) -> list[RoadVehicle]:
        shown = []
        edge = self.road.width_m
        for driver in self.drivers:
            if driver.away:
                x = (
                    edge
                    + sum(self.road.opposite_widths_m[: driver.lane])
                    + self.road.opposite_widths_m[driver.lane] / 2
                )
            else:
                x = self.road.lane_centre_m(driver.lane)
            heading = pi if driver.away else 0.0
            moving = {"speed_mps": driver.speed_mps, "heading_rad": heading, "beacons": driver.beacons}
            if driver.kind in EMERGENCY_KINDS:
                moving["beacons"] = driver.beacons
            shown.append(vehicle_of_kind(driver.id, driver.kind, x + driver.sway_m, driver.front_m, **moving))
        return shown
