"""One camera of the agent: its source, its road, and what was last seen there."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from agent.camera.newest import NewestFrame
from agent.camera.opening import open_camera
from agent.camera.port import Frame, Image
from agent.camera.source import shown
from agent.camera.watchdog import Watchdog
from agent.detection.cadence import Cadence
from agent.detection.detectors import OFF, Detectors, emergency_model
from agent.detection.sight import Sight
from agent.emergency.evidence import Declared
from agent.emergency.model import EmergencyModel
from agent.page.camera_view import CameraView
from agent.road_file import RoadFile
from agent.settings import CameraFile, CameraSettings
from agent.sound.ear import SoundEar
from agent.sound.opening import open_sound
from agent.stopwatch import Stopwatch
from agent.thumbnail import drawing, picture
from agent.traffic.calibration import Calibration
from agent.traffic.pipeline import Pipeline, View, stalled
from agent.traffic.publishing import Said
from node.clock import Clock
from protocol.errors import KinflowError
from protocol.messages import CameraInfo

SAVE_ROAD_EVERY_MS = 1_800_000
FIRST_SAVE_AFTER_MS = 120_000
_LOOK_FOR_CALIBRATION_MS = 1_000

log = logging.getLogger(__name__)


class Lookout:
    """Used by the service's one looking thread; `frame` may be read by others.

    fast: read a file as fast as it can be looked at, every frame of it, instead of at its own pace. detectors: this
    device's, None to detect nothing. share: of the looking thread's time that this camera's detector may take, 0..1.
    """

    def __init__(
        self,
        settings: CameraSettings,
        home: Path,
        clock: Clock,
        arrived: threading.Condition,
        *,
        fast: bool = False,
        detectors: Detectors | None = None,
        share: float = 1.0,
    ) -> None:
        self.settings = settings
        self._detectors = detectors
        self._cadence = Cadence(settings.detect_every, None if fast else share)
        self._detector_fault: KinflowError | None = None
        self.ear: SoundEar | None = None
        if settings.sound != OFF:
            self.ear = SoundEar(lambda: open_sound(settings.sound, clock), clock)
        self._home, self._clock = home, clock
        self.newest = NewestFrame(arrived, patient=fast)
        self.watchdog = Watchdog(
            settings.camera,
            settings.source,
            lambda: open_camera(settings.source, clock, not fast, settings.picture_px),
            self.newest,
            clock,
        )
        self.file = CameraFile(home, settings.camera)
        self._road_file = RoadFile(home, settings.camera)
        self._stamp = -1
        self._looked_for_ms: int | None = None
        self._save_due_ms = clock.monotonic_ms() + FIRST_SAVE_AFTER_MS
        self.pipeline: Pipeline | None = None
        self.frame: Frame | None = None
        self.view: View | None = None
        self.said: Said | None = None
        self.fault: KinflowError | None = None
        self.looked = 0
        # The newest view of a picture that the detector has looked at: no other may become a real thumbnail.
        self._looked_at: View | None = None

    def look(self, frame: Frame, declared: Declared | None = None) -> View | None:
        """declared: by a vehicle for this camera's approach. None while there is no calibration that fits the picture
        (then `fault` says why)."""
        self.frame = frame
        height, width = frame.image.shape[:2]
        pipeline = self._calibrated((width, height), frame.captured_mono_ms)
        if pipeline is None:
            return None
        heard = None if self.ear is None else self.ear.latest(self._clock.monotonic_ms())
        self.view = pipeline.look(frame, heard, declared)
        self.looked += 1
        if self.view.seen is not None and self.view.seen.detections is not None:
            self._looked_at = self.view
        if self._clock.monotonic_ms() >= self._save_due_ms:
            self.save_road()
        return self.view

    def start(self) -> None:
        self.watchdog.start()
        if self.ear is not None:
            self.ear.start()

    def stop(self) -> None:
        self.watchdog.stop()
        if self.ear is not None:
            self.ear.stop()

    def quiet(self) -> View | None:
        """The view of a source that sends nothing; None before it ever sent anything."""
        if self.view is not None and self.view.quality.problems != ("stalled",):
            self.view = stalled(self.view)
        return self.view

    def relearn(self) -> None:
        self._road_file.forget()
        if self.pipeline is not None:
            self.pipeline.forget_road()

    def save_road(self) -> None:
        self._save_due_ms = self._clock.monotonic_ms() + SAVE_ROAD_EVERY_MS
        if self.pipeline is not None:
            self._road_file.save(self.pipeline.calibration, self.pipeline.state.index.road)

    @property
    def detector_fault(self) -> KinflowError | None:
        """Why the detector that was asked for is not used, or not for all; None where it is, or none was asked for."""
        if self._detector_fault is None and self.pipeline is not None and self.pipeline.sight is not None:
            return self.pipeline.sight.fault
        return self._detector_fault

    @property
    def calibration(self) -> Calibration | None:
        return None if self.pipeline is None else self.pipeline.calibration

    def info(self) -> CameraInfo:
        calibration = self.calibration
        width, height = calibration.picture if calibration is not None else (None, None)
        calibrated = calibration is not None and calibration.calibrated
        return CameraInfo(self.settings.camera, self.settings.approach, width, height, calibrated)

    def camera_view(self) -> CameraView:
        def image() -> Image | None:
            return None if self.frame is None else self.frame.image

        def state() -> tuple[str, str]:
            health = self.watchdog.health()
            return health.state, health.detail

        source = shown(self.settings.source)
        return CameraView(
            self.settings.camera,
            source,
            image,
            lambda: self.calibration,
            state,
            self.file,
            self._drawing,
            self._thumbnail,
        )

    def _drawing(self) -> str | None:
        view, calibration = self.view, self.calibration
        return None if view is None or calibration is None else drawing(calibration, view)

    def _thumbnail(self) -> Image | None:
        looked, pipeline = self._looked_at, self.pipeline
        if not self.settings.real_thumbnails or looked is None or pipeline is None:
            return None
        return picture(pipeline, looked)

    def _calibrated(self, picture: tuple[int, int], now_ms: int) -> Pipeline | None:
        """The pipeline for this picture; a new one when somebody has saved another calibration or the size changed."""
        same_size = self.pipeline is not None and self.pipeline.calibration.picture == picture
        if same_size and self._looked_for_ms is not None and now_ms - self._looked_for_ms < _LOOK_FOR_CALIBRATION_MS:
            return self.pipeline
        self._looked_for_ms = now_ms
        stamp = self.file.stamp()
        if same_size and stamp == self._stamp:
            return self.pipeline
        self._stamp = stamp
        try:
            saved = self.file.load()
            calibration = saved.scaled(picture) if saved is not None else self.settings.calibration(picture)
        except KinflowError as error:
            if self.fault is None or self.fault.code != error.code:
                log.error("camera %s: %s", self.settings.camera, error)
            self.fault = error
            return self.pipeline if same_size else None
        self.fault = self._looked_at = None
        stopwatch = Stopwatch()
        sight = self._sight(calibration, stopwatch)
        emergency = self._emergency(sight)
        self.pipeline = Pipeline(calibration, self._road_file.load(calibration), sight, stopwatch, emergency)
        return self.pipeline

    def _emergency(self, sight: Sight | None) -> EmergencyModel:
        """Without a detector that knows emergency vehicles there remain a microphone, and what vehicles declare."""
        if sight is not None:
            try:
                return emergency_model(sight.detector)
            except KinflowError as error:
                log.error("camera %s: %s", self.settings.camera, error)
                self._detector_fault = error
        return EmergencyModel({}, sees=False)

    def _sight(self, calibration: Calibration, stopwatch: Stopwatch) -> Sight | None:
        """None where nothing is to be detected, and where the detector can't be used: then detector_fault says why."""
        self._detector_fault = None
        if self._detectors is None:
            return None
        try:
            detector = self._detectors.of(self.settings.detector)
        except KinflowError as error:
            log.error("camera %s: %s", self.settings.camera, error)
            self._detector_fault = error
            return None
        return None if detector is None else Sight(detector, calibration, self._cadence, stopwatch)
