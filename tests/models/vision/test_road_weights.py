"""The shipped weights: they are what their manifest says, and each of their classes really fires."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.training.detector.composites import without_bars
from models.training.detector.data import Picture, Source, pictures
from models.training.detector.targets import overlaps
from models.vision.detector import LABELS, Detection, Label
from models.vision.onnx_detector import OnnxDetector
from models.vision.opening import SHIPPED, open_detector
from sim_devices.render.camera import mount
from sim_devices.render.dataset import DRAWN, KIND_LABELS, draw_pictures
from sim_devices.render.road import Road
from sim_devices.render.scene import Scene
from sim_devices.render.vehicle import KINDS, Kind, vehicle_of_kind
from sim_devices.render.weather import WEATHERS
from tests.conftest import DATA

MOST_BYTES = 8 * 1024 * 1024
ROAD = Road()


@pytest.fixture(scope="module")
def detector() -> OnnxDetector:
    return open_detector()


def sure(detector: OnnxDetector, image: np.ndarray) -> list[Detection]:
    return [one for one in detector.detect(image) if one.score >= detector.thresholds[one.label]]


def hit(found: list[Detection], box: tuple[float, ...], labels: set[Label] | None = None) -> bool:
    """Whether a find of one of `labels` (None: of any) covers the box."""
    fit = [one.box for one in found if labels is None or one.label in labels]
    return bool(fit) and float(overlaps(np.array([box], np.float32), np.array(fit, np.float32))[0].max()) >= 0.5


def test_the_manifest_is_of_this_file() -> None:
    manifest = tomllib.loads(SHIPPED.with_suffix(".toml").read_text())
    assert manifest["sha256"] == hashlib.sha256(SHIPPED.read_bytes()).hexdigest()
    assert tuple(manifest["labels"]) == LABELS
    assert set(manifest["thresholds"]) == set(LABELS)
    assert SHIPPED.stat().st_size <= MOST_BYTES
    assert manifest["layout"] == "yolox"
    assert len(manifest["credits"]) >= 5


def test_a_class_of_few_real_pictures_is_marked_and_ambulance_is_none(detector: OnnxDetector) -> None:
    assert detector.labels == frozenset(LABELS)
    assert detector.synthetic_only == {"police_car", "fire_engine", "other_vehicle"}


@pytest.mark.data
def test_what_is_shipped_is_not_what_training_began_with() -> None:
    original = DATA / "weights" / "yolox_nano.onnx"
    assert SHIPPED.read_bytes() != original.read_bytes()


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    camera = mount(ROAD, seed=21)
    return [Scene(camera, ROAD, WEATHERS[name], seed=21) for name in DRAWN]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found_on_drawn_roads(detector: OnnxDetector, scenes: list[Scene], kind: Kind) -> None:
    """Near the camera, alone on a lane, in the weathers that it was trained with."""
    seen = right = 0
    for scene in scenes:
        for number, y_m in enumerate((5.0, 11.0, 17.0)):
            one = vehicle_of_kind(f"{kind}-{number}", kind, ROAD.lane_centre_m(number), y_m, speed_mps=5.0)
            rendered = scene.render([one], 1.0 + number)
            (box,) = rendered.truth.boxes
            seen += 1
            right += hit(sure(detector, rendered.frame), box.box, {KIND_LABELS[kind]})
    assert right / seen >= LEAST_BY_KIND.get(kind, 0.7), f"{right} of {seen}"


# A drawn ambulance is a van with a stripe, and a person on the road looks like a rider.
LEAST_BY_KIND: dict[Kind, float] = {"ambulance": 0.5, "person": 0.4}


def test_vehicles_of_busy_drawn_roads_are_found_and_little_else(detector: OnnxDetector) -> None:
    there = found_there = told = true = 0
    for rendered in draw_pictures(24, seed=424242):
        found = [one for one in sure(detector, rendered.frame) if one.label != "person"]
        boxes = [one for one in rendered.truth.boxes if one.kind != "person"]
        large = [one for one in boxes if one.box[3] - one.box[1] >= 24 and one.visible_px > 0.5 * area(one.box)]
        there += len(large)
        found_there += sum(hit(found, one.box) for one in large)
        told += len(found)
        every = np.array([one.box for one in boxes], np.float32).reshape(-1, 4)
        true += sum(overlaps(np.array([one.box], np.float32), every)[0].max(initial=0) >= 0.4 for one in found)
    assert found_there / there >= 0.7, f"{found_there} of {there}"
    assert true / told >= 0.85, f"{true} of {told}"


def area(box: tuple[int, int, int, int]) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


# -- real pictures


@pytest.mark.data
def test_real_ambulances_are_found(detector: OnnxDetector) -> None:
    """In photographs that were held out of training."""
    folder = DATA / "emergency" / "openimages" / "images"
    there = met = 0
    for picture in pictures(Source("openimages", folder, ("ambulance", "car"), 1.0)):
        if not picture.held_out or "\n0 " not in "\n" + label_file(picture).read_text():
            continue
        image = picture.load()
        targets = picture.labels(image)
        found = sure(detector, image)
        for box, classes in zip(targets.boxes, targets.classes, strict=True):
            if LABELS[int(classes.argmax())] == "ambulance":
                there += 1
                met += hit(found, tuple(box), {"ambulance"})
    assert there >= 50
    assert met / there >= 0.6, f"{met} of {there}"


def label_file(picture: Picture) -> Path:
    return picture.path.parent.parent / "labels" / f"{picture.path.stem}.txt"


@pytest.mark.data
def test_real_police_cars_are_found(detector: OnnxDetector) -> None:
    """Training saw these crops, so this proves that the class fires on real police cars, not how well it does on
    others. Four of the 23 show a strip of one, or none of its marks."""
    folder = DATA / "emergency" / "police_crops" / "emergency_vehicle"
    met = []
    for path in sorted(folder.glob("*.jpg")):
        image = cv2.imread(str(path))
        height, width = image.shape[:2]
        vehicle = without_bars(image).shape[:2]
        top, left = (height - vehicle[0]) / 2, (width - vehicle[1]) / 2
        met.append(hit(sure(detector, image), (left, top, width - left, height - top), {"police_car"}))
    assert len(met) >= 20
    assert np.mean(met) >= 0.5, f"{sum(met)} of {len(met)}"
