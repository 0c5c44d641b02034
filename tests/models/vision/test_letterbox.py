"""A picture brought to a network's size and its boxes brought back."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.vision.letterbox import Letterbox, Stretch

SIDE = st.integers(1, 300)
few = settings(max_examples=40)


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@few
@given(SIDE, SIDE)
def test_a_letterbox_holds_the_whole_picture_and_filling(width: int, height: int) -> None:
    blob, placement = Letterbox(96, 64).place(picture(width, height))
    across, down = round(width * placement.scale_x), round(height * placement.scale_y)
    assert blob.shape == (1, 3, 64, 96)
    assert across == 96 or down == 64
    assert (blob[0, :, down:] == 114).all()
    assert (blob[0, :, :, across:] == 114).all()
    whole = placement.back(np.array([[0, 0, across, down], [-5, -5, 999, 999]], np.float32))
    assert np.allclose(whole, [[0, 0, width, height]] * 2, rtol=1e-5)


@few
@given(st.lists(st.tuples(SIDE, SIDE), min_size=2, max_size=4))
def test_nothing_of_the_picture_before_is_left(sizes: list[tuple[int, int]]) -> None:
    used = Letterbox(64, 64)
    for size in sizes:
        blob, _ = used.place(picture(*size))
    assert (blob == Letterbox(64, 64).place(picture(*sizes[-1]))[0]).all()


def test_a_picture_of_the_right_size_is_taken_as_it_is() -> None:
    image = picture(96, 64)
    assert (Letterbox(96, 64).place(image)[0][0].transpose(1, 2, 0) == image).all()
    assert (Stretch(96, 64).place(image)[0][0].transpose(1, 2, 0) == image).all()


@few
@given(SIDE, SIDE)
def test_a_stretched_picture_fills_the_input(width: int, height: int) -> None:
    mean, deviation = (10.0, 20.0, 30.0), (2.0, 4.0, 5.0)
    image = np.full((height, width, 3), (12, 40, 130), np.uint8)
    blob, placement = Stretch(64, 32, mean, deviation).place(image)
    assert np.allclose(blob[0].transpose(1, 2, 0), (1, 5, 20))
    turned, _ = Stretch(64, 32, mean[::-1], deviation[::-1], rgb=True).place(image)
    assert np.allclose(turned[0].transpose(1, 2, 0), (20, 5, 1))
    boxes = placement.back(np.array([[0, 0, 64, 32], [32, 16, 64, 32]], np.float32))
    assert np.allclose(boxes, [[0, 0, width, height], [width / 2, height / 2, width, height]], rtol=1e-5)
