"""What every detector must hold to. A detector joins by adding a way to make it to DETECTORS."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from models.vision.detector import LABELS, Detection


@dataclass
class FakeDetector:
    """Finds bright rectangles: enough to test what stands behind the port."""

    labels: frozenset = field(default_factory=lambda: frozenset({"car"}))

    def detect(self, image):
        rows, columns = np.nonzero(image.min(axis=2) > 200)
        if not len(rows):
            return ()
        box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
        return (Detection("car", 0.9, box),)


DETECTORS = {"fake": FakeDetector}


@pytest.fixture(params=DETECTORS)
def detector(request):
    return DETECTORS[request.param]()


def pictures():
    random = np.random.default_rng(1)
    dark = np.zeros((120, 160, 3), np.uint8)
    lit = dark.copy()
    lit[30:60, 40:100] = 255
    return [dark, lit, random.integers(0, 256, (360, 640, 3), dtype=np.uint8), np.full((33, 47, 3), 255, np.uint8)]


def test_what_it_can_find_is_named(detector):
    assert detector.labels
    assert detector.labels <= set(LABELS)


@pytest.mark.parametrize("number", range(4))
def test_boxes_lie_within_the_picture_and_the_surest_comes_first(detector, number):
    image = pictures()[number]
    found = detector.detect(image)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    for one in found:
        left, top, right, bottom = one.box
        assert 0 <= left < right <= image.shape[1]
        assert 0 <= top < bottom <= image.shape[0]
        assert 0 <= one.score <= 1
        assert one.label in detector.labels


def test_it_says_the_same_twice_and_leaves_the_picture_alone(detector):
    image = pictures()[2]
    before = image.copy()
    assert detector.detect(image) == detector.detect(image)
    assert (image == before).all()
