"""A camera's detector: when it looks, what it costs, and what happens when it can't be used."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.camera.port import Frame
from agent.detection.cadence import Cadence, Paced
from agent.detection.detectors import AUTO, OFF, SHIPPED, Detectors
from agent.detection.sight import Sight
from agent.errors import DetectorUnusable
from agent.lookout import Lookout
from agent.settings import CameraSettings
from agent.stopwatch import Stopwatch
from agent.traffic.calibration import propose
from agent.watch import watch
from models.vision.detector import LABELS, Detection
from node.clock import ManualClock
from node.errors import ProcessorLacks

PICTURE = (640, 360)


@dataclass
class FakeDetector:
    """Finds one car, a little to the right each time; breaks at the picture number `breaks_at`."""

    breaks_at: int = -1
    looks: int = 0
    name: str = "fake"
    labels: frozenset = frozenset(LABELS)
    thresholds: dict = field(default_factory=lambda: dict.fromkeys(LABELS, 0.4))
    synthetic_only: frozenset = frozenset()
    label: str = "car"

    def detect(self, image: np.ndarray) -> tuple[Detection, ...]:
        self.looks += 1
        if self.looks - 1 == self.breaks_at:
            raise RuntimeError("Non-zero status code returned")
        x = 200.0 + 5 * self.looks
        return (Detection(self.label, 0.9, (x, 200.0, x + 40, 240.0)),)


def frames(count: int, gap_ms: int = 100) -> list[Frame]:
    random = np.random.default_rng(1)
    return [
        Frame(random.integers(60, 190, (PICTURE[1], PICTURE[0], 3), np.uint8), gap_ms * n, gap_ms * n, n)
        for n in range(count)
    ]


@given(st.integers(1, 9), st.integers(1, 60))
def test_every_nth_picture_is_looked_at(every: int, count: int) -> None:
    paced, looked = Paced(), []
    for number in range(count):
        if paced.due(Cadence(every), 40 * number):
            looked.append(number)
            paced = paced.looked(40 * number, 5.0)
        else:
            paced = paced.skipped()
    assert looked == list(range(0, count, every))


@given(st.floats(1, 400), st.floats(0.05, 1.0), st.integers(10, 200))
def test_a_slow_detector_takes_its_share_and_no_more(cost_ms: float, share: float, gap_ms: int) -> None:
    paced, spent_ms, began = Paced(), 0.0, 0
    for number in range(200):
        now_ms = gap_ms * number
        if paced.due(Cadence(1, share), now_ms):
            spent_ms += cost_ms
            paced, began = paced.looked(now_ms, cost_ms), now_ms
        else:
            paced = paced.skipped()
    assert spent_ms - cost_ms <= share * began + 1e-6
    assert spent_ms >= min(200 * cost_ms, share * (gap_ms * 199) - share * gap_ms * (spent_ms / cost_ms) - cost_ms)


def sight(detector: FakeDetector, every: int = 1) -> Sight:
    return Sight(detector, propose(7.0, 40.0, PICTURE), Cadence(every), Stopwatch())


def test_skipped_pictures_have_tracks_but_no_detections() -> None:
    detector = FakeDetector()
    seen = [sight_of for one in [sight(detector, every=2)] for sight_of in map(one.look, frames(6))]
    assert detector.looks == 3
    assert [one.detections is None for one in seen if one is not None] == [False, True] * 3
    assert [len(one.tracks) for one in seen if one is not None] == [0, 0, 1, 1, 1, 1]


def test_a_detector_that_breaks_is_not_asked_again() -> None:
    detector = FakeDetector(breaks_at=2)
    one = sight(detector)
    seen = [one.look(frame) for frame in frames(6)]
    assert [found is None for found in seen] == [False, False, True, True, True, True]
    assert detector.looks == 3
    assert one.fault is not None
    assert one.fault.code == "KF253"


def test_a_model_is_opened_once_for_all_cameras_and_a_fault_is_kept() -> None:
    asked: list[Path | None] = []

    def opening(path: Path | None) -> FakeDetector:
        asked.append(path)
        if path is not None:
            raise DetectorUnusable(model=path, detail="it is none")
        return FakeDetector()

    detectors = Detectors(None, SHIPPED, opening)
    assert detectors.of(AUTO) is detectors.of(SHIPPED)
    assert detectors.of(OFF) is None
    for _ in range(2):
        with pytest.raises(DetectorUnusable):
            detectors.of("mine.onnx")
    assert asked == [None, Path("mine.onnx")]
    assert Detectors(None, OFF, opening).of(AUTO) is None


def test_onnxruntime_is_not_loaded_by_a_processor_that_can_not_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: object, **__: object) -> list[str]:
        raise ProcessorLacks(library="onnxruntime", features="sse4_2", model="an old one")

    monkeypatch.setattr("agent.detection.detectors.ensure_loads", lacking)
    with pytest.raises(ProcessorLacks):
        Detectors(None).of(SHIPPED)
    monkeypatch.setattr("agent.detection.detectors.ensure_loads", lambda *_, **__: [])
    with pytest.raises(DetectorUnusable, match="onnxruntime is not installed"):
        Detectors(None).of(SHIPPED)


def test_the_road_is_judged_without_a_detector_that_can_not_be_used(tmp_path: Path) -> None:
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"no model")
    settings = CameraSettings("north", "x.mp4", "north", detector=str(broken))  # type: ignore[arg-type]
    lookout = Lookout(settings, tmp_path, ManualClock(), threading.Condition(), detectors=Detectors(tmp_path))
    for frame in frames(3):
        view = lookout.look(frame)
        assert view is not None
        assert view.seen is None
    assert lookout.detector_fault is not None
    assert lookout.detector_fault.code == "KF105"


def test_a_lookout_follows_what_is_found(tmp_path: Path) -> None:
    settings = CameraSettings("north", "x.mp4", "north", detector=SHIPPED, detect_every=2)  # type: ignore[arg-type]
    detectors = Detectors(tmp_path, opening=lambda _: FakeDetector())
    lookout = Lookout(settings, tmp_path, ManualClock(), threading.Condition(), fast=True, detectors=detectors)
    views = [lookout.look(frame) for frame in frames(8)]
    assert lookout.detector_fault is None
    last = views[-1]
    assert last is not None
    assert last.seen is not None
    assert [(one.id, one.label) for one in last.seen.tracks] == [(1, "car")]
    quiet = lookout.quiet()
    assert quiet is not None
    assert quiet.seen is None


def test_watch_draws_and_counts_what_is_followed(tmp_path: Path) -> None:
    path, out, series = tmp_path / "clip.avi", tmp_path / "out.avi", tmp_path / "rows.jsonl"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, PICTURE)
    for frame in frames(8):
        writer.write(cv2.blur(frame.image, (15, 15)))
    writer.release()
    summary = watch(path, 7.0, 40.0, ManualClock(), out=out, series=series, detector=FakeDetector(), every=2)
    figures = summary.as_json()
    assert figures["detector"] == "fake"
    assert figures["tracks"] == {"car": 1}
    assert [json.loads(line)["tracks"] for line in series.read_text().splitlines()] == [0, 0, 1, 1, 1, 1, 1, 1]
    drawn = cv2.VideoCapture(str(out))
    pictures = [drawn.read()[1] for _ in range(8)]
    box = np.s_[196:244, 196:260]  # where the car is found
    assert np.abs(pictures[6][box].astype(int) - pictures[0][box]).max() > 80
    plain = watch(path, 7.0, 40.0, ManualClock()).as_json()
    assert "detector" not in plain
    assert "tracks" not in plain


def test_an_emergency_vehicle_is_present_and_its_absence_is_claimed_by_a_detector_alone(tmp_path: Path) -> None:
    settings = CameraSettings("north", "x.mp4", "north", detector=SHIPPED)  # type: ignore[arg-type]
    states = []
    for label, labels in (("ambulance", LABELS), ("car", LABELS), ("car", ("car", "truck"))):
        fake = FakeDetector(label=label, labels=frozenset(labels))
        detectors = Detectors(tmp_path, opening=lambda _, fake=fake: fake)
        lookout = Lookout(settings, tmp_path, ManualClock(), threading.Condition(), fast=True, detectors=detectors)
        views = [lookout.look(frame) for frame in frames(12)]
        states.append([None if one is None or one.emergency is None else one.emergency.state for one in views])
        quiet = lookout.quiet()
        assert quiet is not None
        assert quiet.emergency is None
        assert views[-1] is not None
        assert views[-1].seen is not None
    assert states[0][0] == "absent"
    assert states[0][-1] == "present"
    assert set(states[1]) == {"absent"}
    assert set(states[2]) == {"unavailable"}
    assert lookout.detector_fault is not None
    assert lookout.detector_fault.code == "KF108"
    assert "ambulance" in str(lookout.detector_fault)


def test_watch_compares_with_a_reference_that_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, PICTURE)
    for frame in frames(8):
        writer.write(cv2.blur(frame.image, (15, 15)))
    writer.release()
    reference = FakeDetector(name="another")
    compared = watch(path, 7.0, 40.0, ManualClock(), reference=reference).as_json()
    assert reference.looks == 8
    told = compared.pop("reference")
    assert told["model"] == "another"  # type: ignore[index]
    assert set(told["zones"]) == {"near", "middle", "far"}  # type: ignore[index]
    assert compared == watch(path, 7.0, 40.0, ManualClock()).as_json()
