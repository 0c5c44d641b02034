"""Changed pictures and their boxes: a bright block must stay where its box says that it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.training.detector import augment
from models.training.detector.composites import CutOut, outline, paste, paste_some, without_bars
from models.training.detector.liveries import police_car
from models.training.detector.targets import Targets, hard, none

Pair = tuple[np.ndarray, Targets]


def block(left: int = 120, top: int = 60, right: int = 220, bottom: int = 140) -> Pair:
    image = np.full((240, 320, 3), 30, np.uint8)
    image[top:bottom, left:right] = 220
    return image, hard(np.array([[left, top, right, bottom]], np.float32), ["car"])


def block_fits(image: np.ndarray, targets: Targets) -> None:
    for (left, top, right, bottom), solid in zip(targets.boxes.round().astype(int), targets.solid, strict=True):
        if solid and min(right - left, bottom - top) > 16:
            bright = image.max(axis=2) > 150
            assert bright[top:bottom, left:right].mean() > 0.7
    outside = image.max(axis=2) > 150
    for left, top, right, bottom in targets.boxes:
        outside[max(0, int(top) - 2) : int(bottom) + 3, max(0, int(left) - 2) : int(right) + 3] = False
    assert outside.sum() == 0


@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 30))
def test_a_view_moves_boxes_with_the_picture(seed: int) -> None:
    random = np.random.default_rng(seed)
    block_fits(*augment.random_view(*block(), 256, random, (0.3, 1.6)))


@settings(max_examples=30)
@given(seed=st.integers(0, 1 << 30), across=st.integers(2, 5))
def test_a_mosaic_moves_boxes_with_their_pictures(seed: int, across: int) -> None:
    random = np.random.default_rng(seed)
    image, targets = augment.mosaic(lambda: augment.shrunk(*block(), 200), 256, random, across)
    assert image.shape == (256, 256, 3)
    assert len(targets) <= across**2
    block_fits(image, targets)


def test_a_letterbox_is_what_the_detector_makes() -> None:
    image, targets = augment.letterbox(*block(), 416)
    assert targets.boxes[0] == pytest.approx(np.array([120, 60, 220, 140]) * 1.3)
    assert (image[320:] == augment.PAD).all()
    block_fits(image, targets)


@settings(max_examples=20)
@given(seed=st.integers(0, 1 << 30))
def test_weather_moves_nothing_and_fog_only_casts_doubt(seed: int) -> None:
    random = np.random.default_rng(seed)
    image, targets = block()
    for shares in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)):
        changed, after = augment.weather(image, targets, random, shares)
        assert changed.shape == image.shape
        assert changed.dtype == np.uint8
        assert np.array_equal(after.boxes, targets.boxes)
        assert not np.array_equal(changed, image)
    foggy, _ = augment.fog(image, targets, random)
    assert np.ptp(foggy.astype(int).mean(axis=2)) < np.ptp(image.astype(int).mean(axis=2))


def test_the_same_random_numbers_give_the_same_picture() -> None:
    def made(seed: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        return augment.camera_faults(augment.colours(augment.fog(*block(), random)[0], random), random)

    assert np.array_equal(made(4), made(4))
    assert not np.array_equal(made(4), made(5))


# -- cut-outs


def cut() -> CutOut:
    return CutOut("police_car", np.full((40, 80, 3), 250, np.uint8), np.full((40, 80), 255, np.uint8))


def test_what_is_pasted_is_labelled_and_what_it_hides_is_not() -> None:
    image, targets = block()
    pasted, after = paste(image, targets, cut(), (110, 50, 230, 150))
    assert (pasted[70:130, 130:210] == 250).all()
    assert len(after) == 1
    assert after.classes[0].argmax() == 7
    beside, both = paste(image, targets, cut(), (10, 10, 90, 50))
    assert both.solid.tolist() == [True, True]
    assert np.array_equal(beside[60:140, 120:220], image[60:140, 120:220])
    _, partly = paste(image, targets, cut(), (110, 50, 190, 150))
    assert partly.solid.tolist() == [False, True]


@settings(max_examples=30)
@given(seed=st.integers(0, 1 << 30))
def test_cut_outs_are_pasted_within_the_picture(seed: int) -> None:
    image, targets = paste_some(np.zeros((160, 200, 3), np.uint8), none(), [cut()], np.random.default_rng(seed))
    assert 1 <= len(targets) <= 3
    assert (targets.boxes >= 0).all()
    assert (targets.boxes <= [200, 160, 200, 160]).all()
    for left, top, right, bottom in targets.boxes.astype(int):
        assert image[top:bottom, left:right].mean() > 60


def test_bars_go_and_a_vehicle_stands_out_from_its_ground() -> None:
    crop = np.zeros((100, 100, 3), np.uint8)
    crop[30:70] = 90
    assert without_bars(crop).shape == (40, 100, 3)
    random = np.random.default_rng(1)
    tight = random.integers(90, 110, (90, 150, 3)).astype(np.uint8)
    tight[12:84, 12:138] = random.integers(200, 220, (72, 126, 3))
    mask = outline(tight) > 127
    assert mask[30:70, 40:110].mean() > 0.95


@settings(max_examples=25)
@given(seed=st.integers(0, 1 << 30))
def test_a_car_in_a_livery_is_a_police_car_with_lamps_on_its_roof(seed: int) -> None:
    car = CutOut("car", np.full((90, 160, 3), 120, np.uint8), np.zeros((90, 160), np.uint8))
    car.mask[20:85, 5:155] = 255
    made = police_car(car, np.random.default_rng(seed))
    assert made.label == "police_car"
    assert made.image.shape[:2] == made.mask.shape
    assert made.image.shape[1] == 160
    below = made.image.shape[0] - 90
    assert not np.array_equal(made.image[below:], car.image)
    # The lamps stand above the roof, and are part of what is pasted.
    lamps = made.mask[: 20 + below]
    assert (lamps > 0).any()
    assert np.ptp(made.image[: 20 + below][lamps > 0].astype(int), axis=1).mean() > 60
    assert np.array_equal(made.image, police_car(car, np.random.default_rng(seed)).image)
