"""What every detector must hold to. A detector joins by adding a way to make it to DETECTORS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.vision.detector import LABELS, Detection, Detector, Label
from models.vision.opening import open_detector
from tests.conftest import DATA
from tests.models.vision import square_nets


@dataclass
class FakeDetector:
    """Finds bright rectangles: enough to test what stands behind the port."""

    name: str = "fake"
    labels: frozenset[Label] = frozenset({"car"})
    synthetic_only: frozenset[Label] = frozenset()

    @property
    def thresholds(self) -> Mapping[Label, float]:
        return {"car": 0.5}

    def detect(self, image: NDArray[Any]) -> tuple[Detection, ...]:
        rows, columns = np.nonzero(image.min(axis=2) > 200)
        if not len(rows):
            return ()
        box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
        return (Detection("car", 0.9, box),)


def squares(folder: Path, slug: str, least_score: float | None = None) -> Detector:
    write, *_ = square_nets.NETS[slug]
    return open_detector(write(folder / f"{slug}.onnx"), names=square_nets.NAMES, least_score=least_score)


Make = Callable[[Path], Detector]
DETECTORS: dict[str, Make] = {
    "fake": lambda folder: FakeDetector(),
    **{slug: lambda folder, slug=slug: squares(folder, slug) for slug in square_nets.NETS},
    "eager": lambda folder: squares(folder, "yolox", 0.0),
}
REAL: dict[str, Make] = {
    f"real-{name}": lambda folder, name=name: open_detector(DATA / "weights" / f"{name}.onnx", least_score=0.01)
    for name in ("yolox_nano", "fastestdet")
}


@pytest.fixture(
    params=[*DETECTORS, *(pytest.param(name, marks=pytest.mark.data) for name in REAL)],
)
def detector(request: pytest.FixtureRequest, tmp_path: Path) -> Detector:
    return (DETECTORS | REAL)[request.param](tmp_path)


def pictures() -> list[NDArray[Any]]:
    random = np.random.default_rng(1)
    dark = np.zeros((120, 160, 3), np.uint8)
    lit = dark.copy()
    lit[30:60, 40:100] = 255
    street = cv2.GaussianBlur(random.integers(0, 256, (360, 640, 3), dtype=np.uint8), (0, 0), 9) * 4
    noise = random.integers(0, 256, (360, 640, 3), dtype=np.uint8)
    return [dark, lit, noise, np.full((33, 47, 3), 255, np.uint8), street, noise[:, :1], noise[:2, ::2]]


def test_what_it_can_find_is_named(detector: Detector) -> None:
    assert detector.name
    assert detector.labels
    assert detector.labels <= set(LABELS)


def test_each_label_has_a_threshold(detector: Detector) -> None:
    assert set(detector.thresholds) == detector.labels
    assert all(0 < value < 1 for value in detector.thresholds.values())
    assert detector.synthetic_only <= detector.labels


@pytest.mark.parametrize("number", range(len(pictures())))
def test_boxes_lie_within_the_picture_and_the_surest_comes_first(detector: Detector, number: int) -> None:
    image = pictures()[number]
    found = detector.detect(image)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    for one in found:
        left, top, right, bottom = one.box
        assert 0 <= left < right <= image.shape[1]
        assert 0 <= top < bottom <= image.shape[0]
        assert 0 <= one.score <= 1
        assert one.label in detector.labels


def test_it_says_the_same_twice_and_leaves_the_picture_alone(detector: Detector) -> None:
    image, other = pictures()[2:4]
    before = image.copy()
    first = detector.detect(image)
    detector.detect(other)
    assert detector.detect(image) == first
    assert (image == before).all()


def test_a_part_of_a_larger_picture_is_a_picture(detector: Detector) -> None:
    wide = np.zeros((300, 500, 3), np.uint8)
    wide[100:160, 150:250] = 255
    part = wide[50:250, 100:400]
    assert detector.detect(part) == detector.detect(part.copy())
