"""Crops laid over the path of their boxes: a box that sways moves nothing in them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.emergency.beacon import EMPTY, flicker_of, remember
from agent.emergency.crops import GRID, MARGIN, ROWS, crop_of, laid, path

TIMES_S = np.arange(36) / 12.0


@given(st.floats(-40, 40), st.floats(-20, 20), st.floats(12, 30), st.floats(-14, 14), st.floats(0.5, 2.5))
def test_the_path_of_what_drives_straight_on_is_where_it_is(
    left: float, down: float, far_m: float, speed_mps: float, broad: float
) -> None:
    """A pinhole camera: the box grows as 1 over the distance, and moves from the vanishing point by as much."""
    near = 20 / (far_m + 0.2 * speed_mps * TIMES_S)
    height = 30 * near
    middle = np.stack([300 + left * near, 100 + down * near], axis=1)
    half = np.stack([broad * height, height], axis=1) / 2
    boxes = np.concatenate([middle - half, middle + half], axis=1)
    assert np.abs(path(boxes, TIMES_S) - boxes).max() < 0.02 * height.max()


@given(st.integers(0, 1000), st.floats(0.02, 0.15), st.floats(1.2, 4.0))
@settings(max_examples=30)
def test_a_box_that_sways_moves_little_of_what_is_laid(seed: int, by: float, rate_hz: float) -> None:
    """Of a picture in which nothing changes, seen through a box that sways around one place."""
    image = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), np.uint8).repeat(20, axis=0).repeat(20, axis=1)
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, 4)
    sway = by * np.sin(2 * np.pi * rate_hz * TIMES_S[:, None] + phases) * [60, 40, 60, 40]
    boxes = np.array([90.0, 80.0, 150.0, 120.0]) + sway
    crops = tuple(crop_of(image, tuple(box), 1.0) for box in boxes.tolist())
    assert None not in crops
    steady = laid(crops, TIMES_S)  # type: ignore[arg-type]
    raw = np.stack([laid((one,), TIMES_S[:1])[0] for one in crops])  # type: ignore[arg-type]
    assert steady.shape == (len(TIMES_S), ROWS + 2 * MARGIN, GRID + 2 * MARGIN, 3)
    assert steady.std(axis=0).mean() < 0.5 * raw.std(axis=0).mean()


def test_a_windscreen_that_comes_and_goes_with_the_box_is_no_lamp() -> None:
    """A red car that stands; its box takes in the road behind it three times in two seconds."""
    image = np.full((240, 320, 3), 110, np.uint8)
    image[100:160, 120:180] = (30, 30, 170)
    image[108:125, 130:170] = (200, 170, 120)
    history = EMPTY
    for number in range(40):
        taken_in = 30 * (number // 4 % 2)
        history = remember(history, image, (120.0, 100.0 - taken_in, 180.0, 160.0), 1.0, 1000 + 83 * number)
    found = flicker_of(history)
    assert found is None or found.levels < 5


def test_a_crop_at_the_edge_of_the_picture_holds_what_there_is() -> None:
    image = np.full((90, 120, 3), (10, 20, 30), np.uint8)
    crop = crop_of(image, (-8.0, -5.0, 20.0, 30.0), 1.0)
    assert crop is not None
    assert crop.region[:2] == (0.0, 0.0)
    cells = laid((crop,) * 9, np.arange(9) / 10)
    assert cells == pytest.approx(np.broadcast_to(np.array([10.0, 20.0, 30.0]), cells.shape), rel=1e-5)


@pytest.mark.parametrize("box", [(10.0, 10.0, 15.0, 40.0), (10.0, 10.0, 40.0, 15.0), (400.0, 10.0, 440.0, 40.0)])
def test_what_is_too_small_or_out_of_the_picture_has_no_crop(box: tuple[float, float, float, float]) -> None:
    assert crop_of(np.zeros((90, 120, 3), np.uint8), box, 1.0) is None
