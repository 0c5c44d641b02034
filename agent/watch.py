"""`kinflow watch`: a file's index over time, and a video that shows how it came about."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from agent.camera.file import FileCamera
from agent.camera.port import Image
from agent.detection.cadence import Cadence
from agent.detection.detectors import emergency_model
from agent.detection.sight import Sight
from agent.drawing import annotate
from agent.emergency.evidence import EMERGENCY_LABELS
from agent.errors import VideoNotWritable, VideoTruncated
from agent.traffic.calibration import Calibration, Points, calibrate, propose
from agent.traffic.pipeline import Pipeline, View
from agent.traffic.reference import Reference, ZoneFigures
from models.vision.detector import Detector, Label
from node.clock import Clock
from protocol.units import CONGESTION_CLASSES

# The road is learnt from this much of a file before it is measured.
LEARN_FROM_S = 1200.0
VIDEO_ENDINGS = (".mp4", ".avi")


@dataclass
class Summary:
    """What a whole file came to. Frames that tell no index (learning, blind) are counted and enter no mean. tracks: by
    their last class; detector, reference: their names, None where none ran."""

    frames: int = 0
    indexes: list[float] = field(default_factory=list)
    classes: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    detector: str | None = None
    tracks: dict[int, Label] = field(default_factory=dict)
    emergencies: Counter[str] = field(default_factory=Counter)
    reference: str | None = None
    zones: tuple[ZoneFigures, ...] = ()

    def add(self, view: View) -> None:
        self.frames += 1
        self.statuses[view.status] += 1
        self.emergencies["unavailable" if view.emergency is None else view.emergency.state] += 1
        for track in view.seen.tracks if view.seen is not None else ():
            self.tracks[track.id] = track.label
        if view.reading.index.value is not None and view.reading.congestion is not None:
            self.indexes.append(view.reading.index.value)
            self.classes[view.reading.congestion] += 1

    def as_json(self) -> dict[str, object]:
        told = len(self.indexes)
        figures: dict[str, object] = {
            "frames": self.frames,
            "mean_index": round(sum(self.indexes) / told, 4) if told else None,
            "classes": {name: round(self.classes[name] / told, 4) if told else 0.0 for name in CONGESTION_CLASSES},
            "told_share": round(told / self.frames, 4) if self.frames else 0.0,
            "statuses": {name: round(count / self.frames, 4) for name, count in sorted(self.statuses.items())},
        }
        if self.detector is not None:
            figures["detector"] = self.detector
            figures["emergency"] = {
                state: round(count / self.frames, 4) for state, count in sorted(self.emergencies.items())
            }
            figures["tracks"] = dict(sorted(Counter(self.tracks.values()).items()))
        if self.reference is not None:
            zones = {
                one.zone: {
                    "r": one.r,
                    "ours": one.ours,
                    "theirs": one.theirs,
                    "varies_by": one.varies_by,
                    "counts": one.counts,
                }
                for one in self.zones
            }
            figures["reference"] = {"model": self.reference, "zones": zones}
        return figures


class VideoOut:
    """Writes pictures to a video file. Raises VideoNotWritable (KF70)."""

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        codec = cv2.VideoWriter.fourcc(*("MJPG" if path.suffix.lower() == ".avi" else "mp4v"))
        self._writer = cv2.VideoWriter(str(path), codec, fps, size)
        if not self._writer.isOpened():
            raise VideoNotWritable(path=path, detail="OpenCV can't write such a video there")

    def write(self, picture: Image) -> None:
        self._writer.write(picture)

    def close(self) -> None:
        self._writer.release()


def watch(
    path: Path,
    road_width_m: float,
    visible_length_m: float,
    clock: Clock,
    *,
    points: Points | None = None,
    lanes: int = 0,
    out: Path | None = None,
    series: Path | None = None,
    detector: Detector | None = None,
    every: int = 1,
    reference: Detector | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> Summary:
    """Measure a whole file. It is read twice: first to learn the empty road, which may only show late in it.

    detector: looks at each every-th frame; None detects nothing. reference: a detector that has no part in what is
    measured, with whose boxes the occupancy is compared, zone by zone. progress: called with the share done, 0..1.
    Raises KF55, KF56 (after all that could be read has been used and written; the error carries it), KF60, KF64 to
    KF67, KF70.
    """

    def calibrated(picture: tuple[int, int]) -> Calibration:
        if points is None:
            return propose(road_width_m, visible_length_m, picture, lanes)
        return calibrate(points, road_width_m, visible_length_m, picture, lanes=lanes)

    if out is not None:
        _check_target(out, path, VIDEO_ENDINGS)
    if series is not None:
        _check_target(series, path)
    learnt = _learn(path, clock, calibrated, lambda share: progress(share / 2))
    if detector is not None:
        learnt.emergency = emergency_model(detector) if detector.labels.issuperset(EMERGENCY_LABELS) else None
        learnt.sight = Sight(detector, learnt.calibration, Cadence(every), learnt.stopwatch)
    summary, video, rows = Summary(detector=None if detector is None else detector.name), None, []
    compared = None if reference is None else Reference(learnt.model)
    camera = FileCamera(path, clock, live=False)
    began_ms: int | None = None
    try:
        while (frame := camera.read()) is not None:
            view = learnt.look(frame)
            summary.add(view)
            if compared is not None and reference is not None:
                compared.add(view.reading, reference.detect(frame.image), frame.captured_mono_ms)
            began_ms = frame.captured_mono_ms if began_ms is None else began_ms
            rows.append(_row(view, (frame.captured_mono_ms - began_ms) / 1000))
            if out is not None:
                height, width = frame.image.shape[:2]
                video = video or VideoOut(out, camera.fps, (width, height))
                video.write(annotate(learnt, view))
            progress(0.5 + 0.5 * min(1.0, summary.frames / max(1, camera.frames_promised)))
    except VideoTruncated as error:
        error.fields["summary"] = summary
        raise
    finally:
        camera.close()
        if video is not None:
            video.close()
        if series is not None:
            series.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        if compared is not None and reference is not None:
            summary.reference, summary.zones = reference.name, compared.figures()
    progress(1.0)
    return summary


def _check_target(target: Path, watched: Path, endings: tuple[str, ...] = ()) -> None:
    """Refuse a file that can't be written, before the video is read, and the video itself, before it is lost."""
    if endings and target.suffix.lower() not in endings:
        raise VideoNotWritable(path=target, detail=f"its name must end in {' or '.join(endings)}")
    if target.exists() and watched.exists() and target.samefile(watched):
        raise VideoNotWritable(path=target, detail="it is the video that is watched")
    if not target.parent.is_dir():
        raise VideoNotWritable(path=target, detail="its folder is not there")
    if not os.access(target if target.exists() else target.parent, os.W_OK) or target.is_dir():
        raise VideoNotWritable(path=target, detail="this user may not write it")


def _learn(
    path: Path, clock: Clock, calibrated: Callable[[tuple[int, int]], Calibration], progress: Callable[[float], None]
) -> Pipeline:
    """A pipeline that has seen the file once and keeps only what it learnt of the empty road."""
    camera = FileCamera(path, clock, live=False)
    pipeline: Pipeline | None = None
    count = 0
    # A file that breaks off says so when it is measured.
    with suppress(VideoTruncated):
        while (frame := camera.read()) is not None and count < LEARN_FROM_S * camera.fps:
            if pipeline is None:
                height, width = frame.image.shape[:2]
                pipeline = Pipeline(calibrated((width, height)))
            pipeline.look(frame)
            count += 1
            progress(min(1.0, count / max(1, camera.frames_promised)))
    camera.close()
    assert pipeline is not None  # read() raises before it returns None for a file without a picture
    return Pipeline(pipeline.calibration, pipeline.state.index.road)


def _row(view: View, at_s: float) -> dict[str, object]:
    reading = view.reading
    return {
        "at_s": round(at_s, 3),
        "status": view.status,
        "class": reading.congestion,
        "index": reading.index.value,
        "index_low": reading.index.low,
        "index_high": reading.index.high,
        "occupancy": reading.occupancy.value,
        "queue_m": None if reading.queue_m is None else reading.queue_m.value,
        "speed_mps": None if reading.speed_mps is None else reading.speed_mps.value,
        "lanes": [lane.occupancy.value for lane in reading.lanes],
        "quality": view.quality.score,
        "problems": list(view.quality.problems),
        "emergency": "unavailable" if view.emergency is None else view.emergency.state,
        "tracks": None if view.seen is None else len(view.seen.tracks),
    }
