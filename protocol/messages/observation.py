"""What a camera's road looks like now."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocol.ids import SLUG_PATTERN, ApproachId, CameraId, LaneId
from protocol.messages.base import Estimate, Fraction, Message, Millis
from protocol.units import Congestion

Sensor = Literal["camera", "simulated-truth"]
Status = Literal["learning", "ok", "degraded", "blind"]
Problem = Literal["moved", "dark", "blurred", "frozen", "stalled", "bright", "uncalibrated"]
Weather = Literal["clear", "haze", "fog", "rain", "night", "glare"]
EmergencyState = Literal["unavailable", "absent", "present", "requested"]
EmergencyKind = Literal["ambulance", "police_car", "fire_engine", "emergency_other", "unknown"]
EmergencyEvidence = Literal["class", "beacons", "siren", "declared"]


class Quality(Struct, frozen=True):
    """How far the picture can be trusted: 0 not at all, 1 fully, and what is wrong with it. weather: how probable each
    kind of weather is by the picture; None where nobody looked."""

    score: Fraction
    problems: tuple[Problem, ...] = ()
    weather: dict[Weather, Fraction] | None = None


class LaneObservation(Struct, frozen=True):
    lane: Annotated[LaneId, Meta(pattern=SLUG_PATTERN)]
    occupancy: Estimate
    queue_m: Estimate | None = None
    speed_mps: Estimate | None = None
    count: Estimate | None = None


class EmergencySighting(Struct, frozen=True):
    """One emergency vehicle on the approach, or the sound of one. kind: `emergency_other` where the class is known from
    drawings alone, `unknown` where only lamps or sound tell. state: `requested` asks for way; `present` is parked,
    drives without beacons, leaves, or is heard somewhere. probability: that it asks for way on this approach. evidence:
    what fired. direction: by the ground, seen from the stop line; none where that is not known. since_ms: the agent's
    wall clock when this state began. Nothing in it follows a vehicle from one camera to another."""

    kind: EmergencyKind
    state: Literal["present", "requested"]
    probability: Fraction
    evidence: tuple[EmergencyEvidence, ...] = ()
    direction: Literal["towards", "away", "standing"] | None = None
    since_ms: Millis | None = None


class Observation(Message, frozen=True, kw_only=True, tag="observation"):
    """One camera's view of one approach. Units: occupancy and index 0..1 (protocol.units), metres, metres a second.

    captured_ms and captured_mono_ms: wall and monotonic clock of the agent when the newest frame behind it was taken.
    While status is `learning` the index has no value, only the interval that covers the prior. emergency is
    `unavailable` where no detector runs: absence is then not claimed. emergencies: what is behind it, the most urgent
    first. emergency_senses: which kinds of evidence could have spoken; beacons can't where pictures come too slowly.
    """

    camera: Annotated[CameraId, Meta(pattern=SLUG_PATTERN)]
    approach: Annotated[ApproachId, Meta(pattern=SLUG_PATTERN)]
    captured_ms: Millis
    captured_mono_ms: Millis
    frame: Annotated[int, Meta(ge=0)]
    sensor: Sensor
    status: Status
    calibrated: bool
    occupancy: Estimate
    index: Estimate
    congestion: Congestion | None
    quality: Quality
    queue_m: Estimate | None = None
    speed_mps: Estimate | None = None
    count: Estimate | None = None
    lanes: tuple[LaneObservation, ...] = ()
    emergency: EmergencyState = "unavailable"
    emergencies: tuple[EmergencySighting, ...] = ()
    emergency_senses: tuple[EmergencyEvidence, ...] = ()
