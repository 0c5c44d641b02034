"""A thumbnail shows the road and hides who is on it."""

from __future__ import annotations

import threading
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from agent.camera.port import Frame
from agent.detection.detectors import SHIPPED, Detectors
from agent.lookout import Lookout
from agent.settings import CameraSettings
from agent.thumbnail import WIDEST_PX, drawing
from agent.traffic.calibration import calibrate
from models.vision.detector import LABELS, Detection
from node.clock import ManualClock

CAR_BOX = (250.0, 180.0, 340.0, 250.0)


class FindsOneCar:
    """name, labels and thresholds as a detector has them. The car is found with little confidence."""

    name, labels, synthetic_only = "fake", frozenset(LABELS), frozenset()
    thresholds = dict.fromkeys(LABELS, 0.4)

    def detect(self, image: np.ndarray) -> tuple[Detection, ...]:
        return (Detection("person", 0.12, CAR_BOX),)


def scene(drawn_road: type, plate: np.ndarray) -> tuple[np.ndarray, list]:
    """A road with something on it whose pattern is unlike anything else."""
    road = drawn_road()
    image = road.draw()
    left, top, right, bottom = map(int, CAR_BOX)
    image[top:bottom, left:right] = plate[: bottom - top, : right - left]
    return image, list(road.corners)


@pytest.fixture
def plate() -> np.ndarray:
    """Stripes of 8 pixels, which a picture a quarter as wide would still show."""
    stripes = np.zeros((100, 100, 3), np.uint8)
    stripes[:, np.arange(100) // 8 % 2 == 0] = 255
    return stripes


def lookout(home: Path, corners: list, *, real: bool, detector: str = SHIPPED) -> Lookout:
    points = tuple((float(x), float(y)) for x, y in corners)
    settings = CameraSettings(
        "north",  # type: ignore[arg-type]
        "x.mp4",
        "north",  # type: ignore[arg-type]
        10.5,
        60.0,
        points,  # type: ignore[arg-type]
        detector=detector,
        real_thumbnails=real,
    )
    detectors = Detectors(home, opening=lambda _: FindsOneCar())
    return Lookout(settings, home, ManualClock(), threading.Condition(), fast=True, detectors=detectors)


def test_a_real_thumbnail_is_small_and_what_was_found_cannot_be_read(tmp_path, drawn_road, plate) -> None:
    image, corners = scene(drawn_road, plate)
    one = lookout(tmp_path, corners, real=True)
    one.look(Frame(image, 0, 0, 0))
    small = one.camera_view().thumbnail()
    assert small is not None
    assert small.shape[1] == WIDEST_PX
    plain = cv2.resize(image, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    left, top, right, bottom = (round(edge * WIDEST_PX / 640) for edge in CAR_BOX)
    steps = np.abs(np.diff(small[top:bottom, left:right].astype(int), axis=1)).max(axis=2)
    plain_steps = np.abs(np.diff(plain[top:bottom, left:right].astype(int), axis=1)).max(axis=2)
    assert (plain_steps > 100).mean() > 0.3  # the stripes would be there to be read
    assert (steps > 100).mean() < 0.02
    untouched = (small == plain).all(axis=2)
    assert untouched.mean() > 0.5  # and the road is still a picture
    assert not untouched[top:bottom, left:right].all()


@pytest.mark.parametrize(("real", "detector"), [(False, SHIPPED), (True, "off")])
def test_there_is_no_real_thumbnail_unless_switched_on_and_looked_at(
    tmp_path, drawn_road, plate, real: bool, detector: str
) -> None:
    image, corners = scene(drawn_road, plate)
    one = lookout(tmp_path, corners, real=real, detector=detector)
    one.look(Frame(image, 0, 0, 0))
    assert one.camera_view().thumbnail() is None
    assert one.camera_view().drawing() is not None


def test_a_drawing_tells_nothing_of_the_picture(tmp_path, drawn_road, plate) -> None:
    image, corners = scene(drawn_road, plate)
    one = lookout(tmp_path, corners, real=False)
    view = one.look(Frame(image, 0, 0, 0))
    assert view is not None
    points = tuple((float(x), float(y)) for x, y in corners)
    drawn = drawing(calibrate(points, 10.5, 60.0, (640, 360)), view)  # type: ignore[arg-type]
    root = ElementTree.fromstring(drawn)
    assert root.attrib["width"] == str(WIDEST_PX)
    assert {one.tag.rpartition("}")[2] for one in root} <= {"rect", "polygon", "polyline"}
    assert len(drawn) < 4000
