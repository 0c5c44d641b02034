"""The congestion index of one camera's road, frame by frame: from a profile to occupancy, queue, count and speed.

occupancy and index are those of protocol.units. docs/index.md describes the method and how far it can be trusted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.traffic.birds_eye import ROW_M, VEHICLE_HEIGHT_M, BirdsEye, Profile
from agent.traffic.calibration import Calibration
from agent.traffic.empty_road import EmptyRoad, is_known, is_partly_known
from agent.traffic.footprint import CAR_LENGTH_M, CAR_WIDTH_M, LaneLoad, fill, load, stretches
from agent.traffic.speed import lane_speed
from protocol.messages import Estimate
from protocol.units import Congestion, classify, index_from_occupancy

Knowledge = Literal["unknown", "partly", "known"]

SMOOTHING_S = 1.0
_LEARN_EVERY_MS = 500
_LEARN_MOST_S = 2.0
_NEAR_ROWS = np.ones((1, 17), np.uint8)
# What counts as covered, as a share of how strong vehicles lately looked there; fog makes them faint.
_SHARE_OF_STRONG = 0.12
_FAINTEST, _SUREST, _FAINT_IN_NOISE = 1.5, 8.0, 0.7
_STRONG_AT_FIRST, _SOMETHING = 40.0, 12.0
_STRONG_RISE_S, _STRONG_FALL_S = 2.0, 60.0
_COMPARE_AFTER_MS = (250, 1200)
# Half-widths of the 90 % interval: see docs/index.md for how they were set.
_FLOOR_HALF, _RELATIVE_HALF = 0.03, 0.18
# A lane of lorries and buses holds this much more footprint than the mean mix that the estimate supposes.
_HEAVY_MIX = 1.3
_WIDER_WHEN_PARTLY, _WIDER_UNCALIBRATED, _WIDER_AT_WORST = 2.5, 2.0, 3.0
_NOTHING_KNOWN = Estimate(None, 0.0, 1.0)


@dataclass(frozen=True)
class Load:
    """Smoothed loads, one entry per lane: footprints in square metres, vehicles, queue in metres, speed or NaN."""

    vehicles: NDArray[np.float64]
    footprint_m2: NDArray[np.float64]
    least_m2: NDArray[np.float64]
    most_m2: NDArray[np.float64]
    queue_m: NDArray[np.float64]
    speed_mps: NDArray[np.float64]


@dataclass(frozen=True)
class IndexState:
    """All that one frame hands to the next."""

    road: EmptyRoad
    strong: NDArray[np.float64]
    updated_ms: int | None = None
    learnt_ms: int | None = None
    load: Load | None = None
    congestion: Congestion | None = None
    past: tuple[tuple[int, Profile], ...] = ()


@dataclass(frozen=True)
class LaneReading:
    occupancy: Estimate
    queue_m: Estimate
    count: Estimate
    speed_mps: Estimate | None


@dataclass(frozen=True)
class Reading:
    """What a frame says. covered: lanes x rows, for a drawing."""

    knowledge: Knowledge
    occupancy: Estimate
    index: Estimate
    congestion: Congestion | None
    queue_m: Estimate | None
    count: Estimate | None
    speed_mps: Estimate | None
    lanes: tuple[LaneReading, ...]
    covered: NDArray[np.bool_]


class IndexModel:
    """One calibration's index. It holds no state of its own: `step` is given one and returns the next."""

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration
        self.view = BirdsEye(calibration)
        height_m = calibration.viewpoint.height_m
        self._hole_rows = (self.view.hole_m / ROW_M).astype(int)
        self._lean = height_m / (height_m - VEHICLE_HEIGHT_M / 2)

    def initial(self, road: EmptyRoad | None = None) -> IndexState:
        """The first state; `road` from an earlier run is taken when it fits this calibration."""
        shape = (self.calibration.lanes, len(self.view.rows.near_m))
        if road is None or road.seconds.shape[:2] != shape:
            road = EmptyRoad.unknown(*shape)
        return IndexState(road, np.full(shape[1], _STRONG_AT_FIRST))

    def step(
        self,
        state: IndexState,
        profile: Profile,
        noise: float,
        mono_ms: int,
        *,
        score: float = 1.0,
        learn: bool = True,
    ) -> tuple[IndexState, Reading]:
        """One more frame: its profile and noise as BirdsEye.profile gives them.

        score: the picture's quality, 0..1, which widens the interval. learn: whether the frame may teach what the empty
        road looks like.
        """
        elapsed_s = 0.0 if state.updated_ms is None else max(0.0, (mono_ms - state.updated_ms) / 1000)
        deviation = np.abs(profile - state.road.strength())
        strong = self._strong(state.strong, deviation, elapsed_s)
        edged = (deviation > self._threshold(strong, noise)) & self.view.rows.in_picture
        covered = np.stack([fill(one, self._hole_rows) for one in edged])
        past = (
            *(one for one in state.past if mono_ms - one[0] <= _COMPARE_AFTER_MS[1]),
            (mono_ms, np.where(edged, deviation, np.float32(0))),
        )
        now = self._load(covered, past)
        smoothed = now if state.load is None else _smooth(state.load, now, elapsed_s)
        road, learnt_ms = state.road, state.learnt_ms
        if learn and (learnt_ms is None or mono_ms - learnt_ms >= _LEARN_EVERY_MS):
            known_s = _LEARN_EVERY_MS / 1000 if learnt_ms is None else (mono_ms - learnt_ms) / 1000
            road, learnt_ms = road.seen(profile, min(known_s, _LEARN_MOST_S), covered), mono_ms
        share = road.known_share(self.view.rows.in_picture)
        knowledge: Knowledge = "known" if is_known(share) else "partly" if is_partly_known(share) else "unknown"
        reading = self._reading(smoothed, knowledge, state.congestion, score, covered)
        return IndexState(road, strong, mono_ms, learnt_ms, smoothed, reading.congestion, past), reading

    def _threshold(self, strong: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
        faintest = max(_FAINTEST, _FAINT_IN_NOISE * noise)
        return np.clip(_SHARE_OF_STRONG * strong, faintest, max(_SUREST, faintest))

    def _strong(self, strong: NDArray[np.float64], deviation: Profile, elapsed_s: float) -> NDArray[np.float64]:
        """How strong vehicles look at each row, where any are to be seen."""
        seen = cv2.dilate(deviation, _NEAR_ROWS).max(axis=0)
        tau_s = np.where(seen > strong, _STRONG_RISE_S, _STRONG_FALL_S)
        towards = strong + (seen - strong) * (1 - np.exp(-elapsed_s / tau_s))
        return np.where(seen > _SOMETHING, towards, strong)

    def _load(self, covered: NDArray[np.bool_], past: tuple[tuple[int, Profile], ...]) -> Load:
        now_ms, deviation = past[-1]
        earlier = next((one for one in reversed(past) if now_ms - one[0] >= _COMPARE_AFTER_MS[0]), None)
        loads: list[LaneLoad] = []
        speeds: list[float] = []
        for lane in range(self.calibration.lanes):
            speed: float | None = None
            moving = np.zeros(covered.shape[1])
            if earlier is not None:
                moving = np.minimum(1.0, np.abs(deviation[lane] - earlier[1][lane]) / _SOMETHING)
                if covered[lane].any():
                    speed = lane_speed(earlier[1][lane], deviation[lane], (now_ms - earlier[0]) / 1000, self._lean)
            loads.append(load(stretches(covered[lane], moving, self.view)))
            speeds.append(math.nan if speed is None else speed)
        return Load(
            np.array([one.vehicles for one in loads]),
            np.array([one.footprint_m2 for one in loads]),
            np.array([one.least_m2 for one in loads]),
            np.array([one.most_m2 for one in loads]),
            np.array([one.queue_m for one in loads]),
            np.array(speeds),
        )

    def _reading(
        self,
        seen: Load,
        knowledge: Knowledge,
        previous: Congestion | None,
        score: float,
        covered: NDArray[np.bool_],
    ) -> Reading:
        wider = 1.0 + (_WIDER_AT_WORST - 1.0) * (1.0 - score)
        wider *= _WIDER_WHEN_PARTLY if knowledge == "partly" else 1.0
        wider *= 1.0 if self.calibration.calibrated else _WIDER_UNCALIBRATED
        if knowledge == "unknown":
            return Reading(knowledge, _NOTHING_KNOWN, _NOTHING_KNOWN, None, None, None, None, (), covered)
        area = self.calibration.area_m2
        total = _occupancy(seen.footprint_m2.sum(), seen.least_m2.sum(), seen.most_m2.sum(), area, wider)
        index = Estimate(*(index_from_occupancy(one) for one in (total.value or 0.0, total.low, total.high)))
        lanes = tuple(self._lane(seen, lane, wider) for lane in range(self.calibration.lanes))
        return Reading(
            knowledge,
            total,
            index,
            classify(index.value or 0.0, previous),
            _length(float(seen.queue_m.max()), self.calibration.visible_length_m, wider),
            _count(total, area),
            _speed(seen.speed_mps, seen.vehicles, wider),
            lanes,
            covered,
        )

    def _lane(self, seen: Load, lane: int, wider: float) -> LaneReading:
        area = self.calibration.area_m2 / self.calibration.lanes
        occupancy = _occupancy(seen.footprint_m2[lane], seen.least_m2[lane], seen.most_m2[lane], area, wider)
        one = slice(lane, lane + 1)
        return LaneReading(
            occupancy,
            _length(float(seen.queue_m[lane]), self.calibration.visible_length_m, wider),
            _count(occupancy, area),
            _speed(seen.speed_mps[one], seen.vehicles[one], wider),
        )


def _smooth(before: Load, now: Load, elapsed_s: float) -> Load:
    share = 1 - math.exp(-elapsed_s / SMOOTHING_S)
    steps = {
        name: getattr(before, name) + share * (getattr(now, name) - getattr(before, name))
        for name in ("vehicles", "footprint_m2", "least_m2", "most_m2", "queue_m")
    }
    speed = np.where(
        np.isnan(before.speed_mps),
        now.speed_mps,
        np.where(np.isnan(now.speed_mps), np.nan, before.speed_mps + share * (now.speed_mps - before.speed_mps)),
    )
    return replace(now, speed_mps=speed, **steps)


def _occupancy(footprint_m2: float, least_m2: float, most_m2: float, area_m2: float, wider: float) -> Estimate:
    value = min(1.0, footprint_m2 / area_m2)
    half = (_FLOOR_HALF + _RELATIVE_HALF * value) * wider
    low = min(least_m2 / area_m2, value) - half
    high = max(_HEAVY_MIX * most_m2 / area_m2, value) + half
    return Estimate(float(value), float(max(0.0, low)), float(min(1.0, high)))


def _count(occupancy: Estimate, area_m2: float) -> Estimate:
    """Cars' worth of footprint: a bus counts as three, four motorcycles as one, so the interval is wide."""
    per_car = area_m2 / (CAR_LENGTH_M * CAR_WIDTH_M)
    value = occupancy.value or 0.0
    return Estimate(value * per_car, 0.6 * occupancy.low * per_car, 1.4 * occupancy.high * per_car)


def _length(value_m: float, longest_m: float, wider: float) -> Estimate:
    half = (2.0 + 0.15 * value_m) * wider
    return Estimate(value_m, max(0.0, value_m - half), min(longest_m, value_m + half))


def _speed(speeds_mps: NDArray[np.float64], weights: NDArray[np.float64], wider: float) -> Estimate | None:
    told = ~np.isnan(speeds_mps) & (weights > 0.3)
    if not told.any():
        return None
    value = float(np.average(speeds_mps[told], weights=weights[told]))
    half = (1.0 + 0.25 * value) * wider
    return Estimate(value, max(0.0, value - half), value + half)
