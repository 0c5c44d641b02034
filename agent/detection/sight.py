"""One camera's detector and tracker: from a picture to what is followed through pictures."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from agent.camera.port import Frame
from agent.detection.cadence import Cadence, Paced
from agent.errors import DetectorUnusable
from agent.stopwatch import Stopwatch
from agent.traffic.calibration import Calibration
from agent.traffic.on_road import OnRoad
from agent.traffic.track import Track
from agent.traffic.tracker import Tracker
from models.vision.detector import Detection, Detector

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """detections: all that the detector gave, doubtful ones too; None where it skipped this picture."""

    tracks: tuple[Track, ...]
    detections: tuple[Detection, ...] | None


class Sight:
    """Used by the looking thread. `fault` is set when the detector has broken: nothing is seen from then on."""

    def __init__(self, detector: Detector, calibration: Calibration, cadence: Cadence, stopwatch: Stopwatch) -> None:
        self.detector = detector
        self._cadence, self._stopwatch = cadence, stopwatch
        self._tracker = Tracker(calibration.picture, OnRoad(calibration), detector.thresholds)
        self._state = self._tracker.initial()
        self._paced = Paced()
        self.fault: DetectorUnusable | None = None

    def look(self, frame: Frame) -> Seen | None:
        if self.fault is not None:
            return None
        detections = None
        if self._paced.due(self._cadence, frame.captured_mono_ms):
            detections = self._detect(frame)
            if detections is None:
                return None
        else:
            self._paced = self._paced.skipped()
        with self._stopwatch.stage("track"):
            self._state, tracks = self._tracker.step(self._state, detections, frame.captured_mono_ms)
        return Seen(tracks, detections)

    def _detect(self, frame: Frame) -> tuple[Detection, ...] | None:
        began_s = time.perf_counter()
        try:
            with self._stopwatch.stage("detect"):
                found = self.detector.detect(frame.image)
        except Exception as error:
            # A person's own model may break on any picture; the index needs none.
            log.exception("the detector broke")
            self.fault = DetectorUnusable(model="in use", detail=f"{type(error).__name__}: {error}"[:200])
            return None
        self._paced = self._paced.looked(frame.captured_mono_ms, 1000 * (time.perf_counter() - began_s))
        return found
