"""One camera's way from a frame to what an observation says."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.camera.port import Frame
from agent.detection.sight import Seen, Sight
from agent.emergency.model import EmergencyModel, EmergencyReading
from agent.emergency.model import State as EmergencyState
from agent.sound.ear import Heard
from agent.stopwatch import Stopwatch
from agent.traffic.calibration import Calibration
from agent.traffic.empty_road import EmptyRoad
from agent.traffic.index import IndexModel, IndexState, Reading
from agent.traffic.quality import QualityState, judge, quality_of
from protocol.messages import Estimate, Quality
from protocol.messages.observation import Status

# Below these quality scores a picture tells less, or nothing.
DEGRADED_BELOW = 0.7
BLIND_BELOW = 0.2
_UNSEEN = Estimate(None, 0.0, 1.0)


@dataclass(frozen=True)
class PipelineState:
    index: IndexState
    quality: QualityState


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
        self.state = PipelineState(self.model.initial(road), QualityState())

    def look(self, frame: Frame, heard: Heard | None = None) -> View:
        """heard: what the camera's microphone last told; None where there is none."""
        seen = self.sight.look(frame) if self.sight is not None else None
        emergency = self._judge_emergency(frame, seen, heard)
        with self.stopwatch.stage("quality"):
            quality_state, quality = judge(
                self.state.quality, frame.image, frame.captured_mono_ms, self.calibration.calibrated
            )
        blind = quality.score < BLIND_BELOW
        with self.stopwatch.stage("index"):
            profile, noise = self.model.view.profile(frame.image)
            index_state, reading = self.model.step(
                self.state.index, profile, noise, frame.captured_mono_ms, score=quality.score, learn=not blind
            )
        self.state = PipelineState(index_state, quality_state)
        status = status_of(quality, reading)
        return View(frame, status, quality, unseen(reading) if blind else reading, seen, None if blind else emergency)

    def _judge_emergency(self, frame: Frame, seen: Seen | None, heard: Heard | None) -> EmergencyReading | None:
        if self.emergency is None or (seen is None and heard is None):
            return None
        with self.stopwatch.stage("evidence"):
            self._emergency_state, reading = self.emergency.step(
                self._emergency_state,
                None if seen is None else seen.tracks,
                frame.image,
                frame.captured_mono_ms,
                heard=None if heard is None else (heard.reading, heard.mono_ms),
                skipped=seen is not None and seen.detections is None,
            )
        return reading

    def forget_road(self) -> None:
        """Learn the empty road, and where the camera looks, anew."""
        self.state = PipelineState(self.model.initial(), QualityState())


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
