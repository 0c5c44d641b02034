"""Where the time of a picture goes in an agent with a detector, and what it costs to look at fewer of them.

The agent's own pipeline, in this process, on one core: each stage by its own clock. The detector's answers are kept, so
that the tracker can be given every second, third or fifth of them and be compared with itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
from msgspec import Struct

from agent.camera.file import FileCamera
from agent.detection.cadence import Cadence
from agent.detection.detectors import emergency_model
from agent.detection.sight import Sight
from agent.emergency.evidence import EMERGENCY_LABELS
from agent.stopwatch import Stopwatch
from agent.traffic.boxes import overlap
from agent.traffic.calibration import Calibration
from agent.traffic.on_road import OnRoad
from agent.traffic.pipeline import Pipeline
from agent.traffic.track import Track
from agent.traffic.tracker import Tracker
from models.vision.detector import Detection, Detector
from node.clock import SystemClock

_SAME = 0.5


class Skipped(Struct, kw_only=True):
    """A detector on each `every`-th picture. frames_per_s: of the whole agent. boxes_kept: the share of the boxes of a
    detector on every picture that its tracks overlap by half. ids: how many tracks were told."""

    every: int
    frames_per_s: float
    boxes_kept: float
    ids: int


@dataclass(frozen=True)
class Stages:
    """milliseconds: of each stage, mean per picture, of this thread's processor time: what another process takes of the
    core counts for nothing. found: the detector's answers with their times."""

    milliseconds: dict[str, float]
    found: Sequence[tuple[int, tuple[Detection, ...]]]


def stages(clip: Path, calibration: Calibration, detector: Detector) -> Stages:
    """Look at all of a clip once, a detector on every picture."""
    stopwatch = Stopwatch(time.thread_time)
    sight = Sight(detector, calibration, Cadence(), stopwatch)
    emergency = emergency_model(detector) if detector.labels.issuperset(EMERGENCY_LABELS) else None
    pipeline = Pipeline(calibration, None, sight, stopwatch, emergency)
    camera = FileCamera(clip, SystemClock(), live=False)
    found = []
    with _one_core():
        while True:
            with stopwatch.stage("decode"):
                frame = camera.read()
            if frame is None:
                break
            seen = pipeline.look(frame).seen
            found.append((frame.captured_mono_ms, (seen.detections if seen is not None else None) or ()))
    camera.close()
    return Stages({name: 1000 * spent / len(found) for name, spent in stopwatch.spent_s.items()}, found)


def kept(calibration: Calibration, detector: Detector, found: Stages, every: int) -> tuple[float, int]:
    """The share of boxes kept, and the number of ids: see Skipped."""
    whole = list(_tracks(calibration, detector, found, 1))
    fewer = list(_tracks(calibration, detector, found, every))
    boxes = sum(len(one) for one in whole)
    same = sum(
        any(overlap(one.box, other.box) >= _SAME for other in others)
        for ones, others in zip(whole, fewer, strict=True)
        for one in ones
    )
    return same / boxes if boxes else 1.0, len({one.id for tracks in fewer for one in tracks})


def _tracks(calibration: Calibration, detector: Detector, found: Stages, every: int) -> Iterator[tuple[Track, ...]]:
    tracker = Tracker(calibration.picture, OnRoad(calibration), detector.thresholds)
    state = tracker.initial()
    for number, (mono_ms, detections) in enumerate(found.found):
        state, tracks = tracker.step(state, detections if number % every == 0 else None, mono_ms)
        yield tracks


@contextmanager
def _one_core() -> Iterator[None]:
    before, threads = os.sched_getaffinity(0), cv2.getNumThreads()
    os.sched_setaffinity(0, {min(before)})
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
        cv2.setNumThreads(threads)
