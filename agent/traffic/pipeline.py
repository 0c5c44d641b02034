"""One camera's way from a frame to what an observation says."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
from msgspec.structs import replace as with_fields

from agent.camera.port import Frame
from agent.detection.sight import Seen, Sight
from agent.emergency.evidence import Declared
from agent.emergency.model import EmergencyModel, EmergencyReading
from agent.emergency.model import State as EmergencyState
from agent.sound.ear import Heard
from agent.stopwatch import Stopwatch
from agent.traffic.calibration import Calibration
from agent.traffic.empty_road import EmptyRoad
from agent.traffic.haze import SMALL, extinction, followed
from agent.traffic.index import IndexModel, IndexState, Reading
from agent.traffic.quality import QualityState, judge, quality_of, trust
from agent.traffic.steady import SteadyState, steady
from agent.traffic.weather import WeatherState, look_up
from protocol.messages import Estimate, Quality
from protocol.messages.observation import Status

# Below these quality scores a picture tells less, or nothing.
DEGRADED_BELOW = 0.7
BLIND_BELOW = 0.2
_UNSEEN = Estimate(None, 0.0, 1.0)


@dataclass(frozen=True)
class PipelineState:
    """haze_per_m: the air's extinction over the last seconds."""

    index: IndexState
    quality: QualityState = field(default_factory=QualityState)
    steady: SteadyState = field(default_factory=SteadyState)
    weather: WeatherState = field(default_factory=WeatherState)
    haze_per_m: float | None = None
    seen_ms: int | None = None


@dataclass(frozen=True)
class View:
    """What one frame says: an Observation but for its envelope. status tells how far reading can be used. seen: None
    where no detector runs. emergency: None where nothing could tell."""

    frame: Frame
    status: Status
    quality: Quality
    reading: Reading
    seen: Seen | None = None
    emergency: EmergencyReading | None = None


class Pipeline:
    """Frames of one calibrated camera, one after another. `state` is all that it remembers of the road; sight remembers
    what it follows."""

    def __init__(
        self,
        calibration: Calibration,
        road: EmptyRoad | None = None,
        sight: Sight | None = None,
        stopwatch: Stopwatch | None = None,
        emergency: EmergencyModel | None = None,
    ) -> None:
        self.calibration = calibration
        self.sight, self.emergency = sight, emergency
        self._emergency_state = EmergencyState()
        self.stopwatch = stopwatch or Stopwatch()
        self.model = IndexModel(calibration)
        self._air = self.model.view.air_samples()
        self.state = PipelineState(self.model.initial(road))

    def look(self, frame: Frame, heard: Heard | None = None, declared: Declared | None = None) -> View:
        """heard: what the camera's microphone last told; None where there is none. declared: what a vehicle has said
        for this approach, while it holds."""
        before, image, mono_ms = self.state, frame.image, frame.captured_mono_ms
        seen = self.sight.look(frame) if self.sight is not None else None
        emergency = self._judge_emergency(frame, seen, heard, declared)
        small = cv2.resize(image, SMALL, interpolation=cv2.INTER_AREA)
        with self.stopwatch.stage("quality"):
            quality_state, quality = judge(before.quality, image, mono_ms, self.calibration.calibrated)
            blind = quality.score < BLIND_BELOW
        with self.stopwatch.stage("air"):
            elapsed_s = 0.0 if before.seen_ms is None else max(0.0, (mono_ms - before.seen_ms) / 1000)
            haze_per_m = followed(before.haze_per_m, extinction(small, self._air), elapsed_s)
            weather = look_up(before.weather, image, small, haze_per_m, mono_ms)
            quality = with_fields(quality, weather=weather.told())
        with self.stopwatch.stage("steady"):
            held, shift = before.steady, (0.0, 0.0)
            if not blind:
                held, shift = steady(held, cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), mono_ms, self.calibration.picture)
        with self.stopwatch.stage("index"):
            profile, noise = self.model.view.profile(image, shift, haze_per_m)
            index_state, reading = self.model.step(
                before.index,
                profile,
                noise,
                mono_ms,
                haze_per_m=haze_per_m,
                tracks=seen.tracks if seen is not None else None,
                score=trust(quality),
                learn=not blind,
            )
        self.state = PipelineState(index_state, quality_state, held, weather, haze_per_m, mono_ms)
        status = status_of(quality, reading)
        if blind:
            return View(frame, status, quality, unseen(reading), seen, self._told_blind(frame, declared))
        return View(frame, status, quality, reading, seen, emergency)

    def _judge_emergency(
        self, frame: Frame, seen: Seen | None, heard: Heard | None, declared: Declared | None
    ) -> EmergencyReading | None:
        if self.emergency is None or (seen is None and heard is None and declared is None):
            return None
        with self.stopwatch.stage("evidence"):
            self._emergency_state, reading = self.emergency.step(
                self._emergency_state,
                None if seen is None else seen.tracks,
                frame.image,
                frame.captured_mono_ms,
                heard=None if heard is None else (heard.reading, heard.mono_ms),
                declared=declared,
                skipped=seen is not None and seen.detections is None,
            )
        return reading

    def _told_blind(self, frame: Frame, declared: Declared | None) -> EmergencyReading | None:
        """A vehicle's word needs no sight."""
        if self.emergency is None or declared is None:
            return None
        mono_ms = frame.captured_mono_ms
        return self.emergency.step(self.emergency.initial(), None, frame.image, mono_ms, declared=declared)[1]

    def forget_road(self) -> None:
        """Learn the empty road, and where the camera looks, anew."""
        self.state = PipelineState(self.model.initial())


def status_of(quality: Quality, reading: Reading) -> Status:
    if quality.score < BLIND_BELOW:
        return "blind"
    if reading.knowledge == "unknown":
        return "learning"
    if quality.score < DEGRADED_BELOW or reading.knowledge == "partly":
        return "degraded"
    return "ok"


def unseen(reading: Reading) -> Reading:
    """The reading of a camera that sees nothing: no value, every interval open."""
    return replace(
        reading,
        occupancy=_UNSEEN,
        index=_UNSEEN,
        congestion=None,
        queue_m=None,
        count=None,
        speed_mps=None,
        lanes=(),
    )


def stalled(view: View) -> View:
    """The last view of a camera that sends no more pictures."""
    gone = unseen(view.reading)
    return replace(view, status="blind", quality=quality_of(("stalled",)), reading=gone, seen=None, emergency=None)
