"""What the edge last saw of an approach, as vehicles on each lane with their uncertainty.

Vehicles come from the lane's count; where there is none, from the larger of queue length over 7.5 m a vehicle and
occupancy x area over 9 m2, the mean footprint of the simulated mix (80 % cars of 8 m2, buses, trucks, motorcycles). The
larger, because vehicles that move off are no queue any more and still want their green. A lane that the observation
does not name gets an equal share of the approach.

An estimate is shrunk towards the prior by its uncertainty, which grows with age: what is not seen for long becomes the
prior, without a step. This is the posterior mean of a normal prior and a normal measurement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edge_server.signals.layout import VEHICLE_SPACING_M, ApproachLayout, LaneLayout
from protocol.ids import ApproachId
from protocol.messages import Estimate, LaneObservation, Observation

FOOTPRINT_M2 = 9.0
# Half the width of a 90 % interval of a normal distribution, in standard deviations.
HALF_WIDTH_90 = 1.645
# One vehicle every two seconds is what a lane can receive or discharge (saturation flow, HCM).
DRIFT_PER_S = 0.5
PRIOR_SHARE = 0.25
PRIOR_DEVIATION_SHARE = 0.25
USABLE = ("ok", "degraded")

Sights = Mapping[ApproachId, "Sight"]


@dataclass(frozen=True)
class Vehicles:
    """Vehicles on one lane: mean and standard deviation. standing: those of them that stand in a queue; None where
    nothing told."""

    mean: float
    deviation: float
    standing: float | None = None


@dataclass(frozen=True)
class Sight:
    """lanes: in the site's order, from the newest usable observation; empty while none has come. seen_ms: when that was
    seen (or when the edge began to look), on the edge's monotonic clock. captured_ms: wall clock of its frame."""

    seen_ms: int
    lanes: tuple[Vehicles, ...] = ()
    captured_ms: int = 0

    def mean(self, position: int, lane: LaneLayout, now_ms: int) -> float:
        """Vehicles expected on a lane now."""
        prior = lane.capacity * PRIOR_SHARE
        if position >= len(self.lanes):
            return prior
        seen = self.lanes[position]
        age_ms = now_ms - self.seen_ms
        deviation = seen.deviation + (DRIFT_PER_S * age_ms / 1000 if age_ms > 0 else 0.0)
        prior_deviation = lane.capacity * PRIOR_DEVIATION_SHARE
        spread = prior_deviation * prior_deviation
        return prior + (seen.mean - prior) * spread / (spread + deviation * deviation)

    def after(self, observation: Observation, approach: ApproachLayout, seen_ms: int) -> Sight:
        """What is known after one more observation; a blind or learning one, or an older one, changes nothing."""
        if observation.status not in USABLE or seen_ms < self.seen_ms:
            return self
        lanes = vehicles(observation, approach)
        return Sight(seen_ms, lanes, observation.captured_ms) if lanes else self


def vehicles(observation: Observation, approach: ApproachLayout) -> tuple[Vehicles, ...]:
    """Vehicles on each lane, in the site's order; empty when the observation has no figure for some lane."""
    named = {one.lane: one for one in observation.lanes}
    area_m2 = sum(lane.area_m2 for lane in approach.lanes)
    found = []
    for lane in approach.lanes:
        own = named.get(lane.id)
        seen = _figure(own, lane.area_m2) if own is not None else None
        if seen is None:
            whole = _figure(observation, area_m2)
            share = len(approach.lanes)
            seen = _shared(whole, share) if whole is not None else None
        if seen is None:
            return ()
        found.append(seen)
    return tuple(found)


def _shared(whole: Vehicles, lanes: int) -> Vehicles:
    standing = None if whole.standing is None else whole.standing / lanes
    return Vehicles(whole.mean / lanes, whole.deviation / lanes, standing)


def _figure(seen: Observation | LaneObservation, area_m2: float) -> Vehicles | None:
    """The count; else the larger of what stands and what covers the road, since moving vehicles are no queue."""
    found = _present(seen, area_m2)
    if found is None or seen.queue_m is None or seen.queue_m.value is None:
        return found
    return replace(found, standing=min(found.mean, max(0.0, seen.queue_m.value) / VEHICLE_SPACING_M))


def _present(seen: Observation | LaneObservation, area_m2: float) -> Vehicles | None:
    if seen.count is not None and seen.count.value is not None:
        return _vehicles(seen.count, seen.count.value, 1.0)
    found = [
        _vehicles(estimate, estimate.value, unit)
        for estimate, unit in ((seen.queue_m, VEHICLE_SPACING_M), (seen.occupancy, FOOTPRINT_M2 / area_m2))
        if estimate is not None and estimate.value is not None
    ]
    return max(found, key=lambda one: one.mean, default=None)


def _vehicles(estimate: Estimate, value: float, unit: float) -> Vehicles:
    deviation = max(0.0, estimate.high - estimate.low) / (2 * HALF_WIDTH_90)
    return Vehicles(max(0.0, value) / unit, deviation / unit)
