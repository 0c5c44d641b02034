"""The congestion index of one camera's road, frame by frame: from a profile to occupancy, queue, count and speed.

occupancy and index are those of protocol.units. docs/index.md describes the method and how far it can be trusted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.traffic.birds_eye import COLUMNS, ROW_M, VEHICLE_HEIGHT_M, BirdsEye, Profile
from agent.traffic.calibration import Calibration
from agent.traffic.empty_road import EmptyRoad, is_known, is_partly_known
from agent.traffic.footprint import fill, queue_length
from agent.traffic.lane_features import LaneFeatures
from agent.traffic.occupied import Occupancy, Occupied
from agent.traffic.speed import lane_speed, tracked_speed
from agent.traffic.track import Track
from models.occupancy.network import Network, Planes, shipped
from protocol.messages import Estimate
from protocol.units import Congestion, classify, index_from_occupancy

Knowledge = Literal["unknown", "partly", "known"]

# More costs in lag than it saves in noise: rendered traffic is read best without any, and real cameras are noisier.
SMOOTHING_S = 0.2
_LEARN_EVERY_MS = 500
_LEARN_MOST_S = 2.0
_NEAR_ROWS = np.ones((1, 17), np.uint8)
# What counts as covered, as a share of how strong vehicles lately looked there; fog makes them faint.
_SHARE_OF_STRONG = 0.12
_FAINTEST, _SUREST, _FAINT_IN_NOISE = 1.5, 8.0, 0.7
_STRONG_AT_FIRST, _SOMETHING = 40.0, 12.0
_STRONG_RISE_S, _STRONG_FALL_S = 2.0, 60.0
_COMPARE_AFTER_MS = (250, 1200)
# Over what the network says of its own error: see docs/index.md.
_WIDER_WHEN_PARTLY, _WIDER_UNCALIBRATED, _WIDER_AT_WORST = 2.0, 2.0, 3.0
_NOTHING_KNOWN = Estimate(None, 0.0, 1.0)


@dataclass(frozen=True)
class Load:
    """Smoothed: whole (3,) is the approach's occupancy and how far its interval reaches down and up; the rest has one
    entry per lane, speed or NaN."""

    whole: NDArray[np.float64]
    occupancy: NDArray[np.float64]
    below: NDArray[np.float64]
    above: NDArray[np.float64]
    vehicles: NDArray[np.float64]
    queue_m: NDArray[np.float64]
    speed_mps: NDArray[np.float64]


@dataclass(frozen=True)
class IndexState:
    """All that one frame hands to the next. empty, known: what road says, kept from when it last learnt."""

    road: EmptyRoad
    empty: Profile
    known: NDArray[np.bool_]
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
    """What a frame says. rows: lanes x rows, the share of each cell of road under vehicles, in this frame alone.
    covered: lanes x rows, where edges tell of a vehicle as the picture shows it: its top hides road behind it."""

    knowledge: Knowledge
    occupancy: Estimate
    index: Estimate
    congestion: Congestion | None
    queue_m: Estimate | None
    count: Estimate | None
    speed_mps: Estimate | None
    lanes: tuple[LaneReading, ...]
    covered: NDArray[np.bool_]
    rows: NDArray[np.float64]


@dataclass(frozen=True)
class _Seen:
    """One frame against the empty road. deviation: signed, strips x rows; strong, threshold: (rows,); covered: lanes x
    rows; past: profiles of the last second with their times, this frame's last."""

    noise: float
    elapsed_s: float
    deviation: Profile
    strong: NDArray[np.float64]
    threshold: NDArray[np.float64]
    covered: NDArray[np.bool_]
    past: tuple[tuple[int, Profile], ...]

    @property
    def earlier(self) -> tuple[int, Profile] | None:
        """The profile that this one's motion is told by."""
        now_ms = self.past[-1][0]
        return next((one for one in reversed(self.past) if now_ms - one[0] >= _COMPARE_AFTER_MS[0]), None)


class IndexModel:
    """One calibration's index. It holds no state of its own: `step` is given one and returns the next."""

    def __init__(self, calibration: Calibration, network: Network | None = None) -> None:
        self.calibration = calibration
        self.view = BirdsEye(calibration)
        self.features = LaneFeatures(self.view)
        self.occupancy = Occupancy(self.view, self.features.within, network or shipped())
        height_m = calibration.viewpoint.height_m
        self._hole_rows = (self.view.hole_m / ROW_M).astype(int)
        self._lean = height_m / (height_m - VEHICLE_HEIGHT_M / 2)

    def initial(self, road: EmptyRoad | None = None) -> IndexState:
        """The first state; `road` from an earlier run is taken when it fits this calibration."""
        shape = (self.calibration.lanes * COLUMNS, len(self.view.rows.near_m))
        if road is None or road.seconds.shape[:2] != shape:
            road = EmptyRoad.unknown(*shape)
        return IndexState(road, road.strength(), road.known(), np.full(shape[1], _STRONG_AT_FIRST))

    def step(
        self,
        state: IndexState,
        profile: Profile,
        noise: float,
        mono_ms: int,
        *,
        haze_per_m: float = 0.0,
        tracks: Sequence[Track] | None = None,
        score: float = 1.0,
        learn: bool = True,
    ) -> tuple[IndexState, Reading]:
        """One more frame: its profile and noise as BirdsEye.profile gives them, and the haze that it undid.

        tracks: what a detector follows; None where none runs, and the edges tell alone. score: the picture's quality,
        0..1, which widens the interval. learn: whether the frame may teach what the empty road looks like.
        """
        now = self._look(state, profile, noise, mono_ms)
        found, spread = self.occupancy.from_edges(self._planes(state, now, haze_per_m))
        if tracks is not None:
            found = self.occupancy.fused(found, spread, tracks)
        load = self._load(found, self._speeds(state, now, tracks))
        smoothed = load if state.load is None else _smooth(state.load, load, now.elapsed_s)
        road, learnt_ms, empty, known = state.road, state.learnt_ms, state.empty, state.known
        if learn and (learnt_ms is None or mono_ms - learnt_ms >= _LEARN_EVERY_MS):
            known_s = _LEARN_EVERY_MS / 1000 if learnt_ms is None else (mono_ms - learnt_ms) / 1000
            road = road.seen(profile, min(known_s, _LEARN_MOST_S), now.covered.repeat(COLUMNS, axis=0))
            learnt_ms, empty, known = mono_ms, road.strength(), road.known()
        share = known[:, self.view.rows.in_picture].reshape(self.calibration.lanes, -1).mean(axis=1)
        knowledge: Knowledge = "known" if is_known(share) else "partly" if is_partly_known(share) else "unknown"
        reading = self._reading(
            smoothed,
            knowledge=knowledge,
            previous=state.congestion,
            score=score,
            covered=now.covered,
            rows=found.rows,
        )
        after = IndexState(road, empty, known, now.strong, mono_ms, learnt_ms, smoothed, reading.congestion, now.past)
        return after, reading

    def planes(
        self, state: IndexState, profile: Profile, noise: float, mono_ms: int, haze_per_m: float = 0.0
    ) -> Planes:
        """What the network would be told of this frame."""
        return self._planes(state, self._look(state, profile, noise, mono_ms), haze_per_m)

    def _look(self, state: IndexState, profile: Profile, noise: float, mono_ms: int) -> _Seen:
        elapsed_s = 0.0 if state.updated_ms is None else max(0.0, (mono_ms - state.updated_ms) / 1000)
        deviation = settled(profile - state.empty, state.known)
        size = np.abs(deviation)
        strong = self._strong(state.strong, size, elapsed_s)
        threshold = self._threshold(strong, noise)
        past = (*(one for one in state.past if mono_ms - one[0] <= _COMPARE_AFTER_MS[1]), (mono_ms, profile))
        return _Seen(noise, elapsed_s, deviation, strong, threshold, self._covered(size, threshold), past)

    def _planes(self, state: IndexState, now: _Seen, haze_per_m: float) -> Planes:
        profile, earlier = now.past[-1][1], now.earlier
        return self.features.planes(
            profile,
            deviation=now.deviation,
            before=earlier and earlier[1],
            empty=state.empty,
            known=state.known,
            threshold=now.threshold,
            strong=now.strong,
            noise=now.noise,
            haze_per_m=haze_per_m,
        )

    def _covered(self, deviation: Profile, threshold: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Lanes x rows where edges tell of a vehicle, or lie before and behind one. deviation: strips x rows."""
        strips = deviation.reshape(self.calibration.lanes, COLUMNS, -1)
        edged = (strips > threshold).any(axis=1) & self.view.rows.in_picture
        return np.stack([fill(one, self._hole_rows) for one in edged])

    def _threshold(self, strong: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
        """The deviation that is more than noise, (rows,)."""
        faintest = max(_FAINTEST, _FAINT_IN_NOISE * noise)
        return np.clip(_SHARE_OF_STRONG * strong, faintest, max(_SUREST, faintest))

    def _strong(self, strong: NDArray[np.float64], deviation: Profile, elapsed_s: float) -> NDArray[np.float64]:
        """How strong vehicles look at each row, where any are to be seen."""
        seen = cv2.dilate(deviation, _NEAR_ROWS).max(axis=0)
        tau_s = np.where(seen > strong, _STRONG_RISE_S, _STRONG_FALL_S)
        towards = strong + (seen - strong) * (1 - np.exp(-elapsed_s / tau_s))
        return np.where(seen > _SOMETHING, towards, strong)

    def _speeds(self, state: IndexState, now: _Seen, tracks: Sequence[Track] | None) -> NDArray[np.float64]:
        """Metres a second in each lane, from tracks where there are any, else from how far the edges have gone."""
        lanes, earlier = self.calibration.lanes, now.earlier
        speeds = np.full(lanes, math.nan) if tracks is None else tracked_speed(tracks, self.calibration)
        if earlier is None:
            return speeds
        later, before = (
            np.where(one > now.threshold, one, np.float32(0)).reshape(lanes, COLUMNS, -1).mean(axis=1)
            for one in (np.abs(now.deviation), np.abs(settled(earlier[1] - state.empty, state.known)))
        )
        for lane in np.flatnonzero(np.isnan(speeds) & now.covered.any(axis=1)):
            speed = lane_speed(before[lane], later[lane], (now.past[-1][0] - earlier[0]) / 1000, self._lean)
            speeds[lane] = math.nan if speed is None else speed
        return speeds

    def _load(self, found: Occupied, speeds_mps: NDArray[np.float64]) -> Load:
        queues = np.array([queue_length(one, self.view.rows.near_m) for one in found.standing])
        return Load(
            np.array(found.whole), found.lanes, found.below, found.above, found.vehicles,
            np.minimum(queues, self.calibration.visible_length_m), speeds_mps,
        )  # fmt: skip

    def _reading(
        self,
        seen: Load,
        *,
        knowledge: Knowledge,
        previous: Congestion | None,
        score: float,
        covered: NDArray[np.bool_],
        rows: NDArray[np.float64],
    ) -> Reading:
        wider = 1.0 + (_WIDER_AT_WORST - 1.0) * (1.0 - score)
        wider *= _WIDER_WHEN_PARTLY if knowledge == "partly" else 1.0
        wider *= 1.0 if self.calibration.calibrated else _WIDER_UNCALIBRATED
        if knowledge == "unknown":
            return Reading(knowledge, _NOTHING_KNOWN, _NOTHING_KNOWN, None, None, None, None, (), covered, rows)
        total = _within(*seen.whole, wider)
        index = Estimate(*(index_from_occupancy(one) for one in (total.value or 0.0, total.low, total.high)))
        return Reading(
            knowledge,
            total,
            index,
            classify(index.value or 0.0, previous),
            _length(float(seen.queue_m.max()), self.calibration.visible_length_m, wider),
            _count(float(seen.vehicles.sum()), wider),
            _speed(seen.speed_mps, seen.vehicles, wider),
            tuple(self._lane(seen, lane, wider) for lane in range(self.calibration.lanes)),
            covered,
            rows,
        )

    def _lane(self, seen: Load, lane: int, wider: float) -> LaneReading:
        one = slice(lane, lane + 1)
        return LaneReading(
            _within(seen.occupancy[lane], seen.below[lane], seen.above[lane], wider),
            _length(float(seen.queue_m[lane]), self.calibration.visible_length_m, wider),
            _count(float(seen.vehicles[lane]), wider),
            _speed(seen.speed_mps[one], seen.vehicles[one], wider),
        )


def settled(deviation: Profile, known: NDArray[np.bool_]) -> Profile:
    """A strip that has not been seen empty goes by its lane's other strips, where one of them has: what deviates there
    alone is a painted line rather than a vehicle. Both strips x rows."""
    strips, sure = (one.reshape(-1, COLUMNS, one.shape[1]) for one in (deviation, known))
    count = sure.sum(axis=1, keepdims=True)
    others = (strips * sure).sum(axis=1, keepdims=True) / np.maximum(count, 1)
    return np.where(sure | (count == 0), strips, others).reshape(deviation.shape).astype(np.float32)


def _smooth(before: Load, now: Load, elapsed_s: float) -> Load:
    share = 1 - math.exp(-elapsed_s / SMOOTHING_S)
    steps = {
        name: getattr(before, name) + share * (getattr(now, name) - getattr(before, name))
        for name in ("whole", "occupancy", "below", "above", "vehicles", "queue_m")
    }
    speed = np.where(
        np.isnan(before.speed_mps),
        now.speed_mps,
        np.where(np.isnan(now.speed_mps), np.nan, before.speed_mps + share * (now.speed_mps - before.speed_mps)),
    )
    return replace(now, speed_mps=speed, **steps)


def _within(value: float, below: float, above: float, wider: float) -> Estimate:
    value = min(1.0, max(0.0, float(value)))
    return Estimate(value, max(0.0, value - float(below) * wider), min(1.0, value + float(above) * wider))


def _count(value: float, wider: float) -> Estimate:
    half = (0.8 + 0.25 * value) * wider
    return Estimate(value, max(0.0, value - half), value + half)


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
