"""What a picture teaches, and that it follows the picture through every change."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.training.detector.targets import LEAST_PX, hard, joined, none, overlaps
from models.vision.detector import LABELS

SIDE = 200
box = st.tuples(st.integers(0, 150), st.integers(0, 150), st.integers(8, 50), st.integers(8, 50)).map(
    lambda b: (float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3]))
)


@given(boxes=st.lists(box, min_size=1, max_size=6), scale=st.floats(0.7, 2.0), dx=st.integers(-40, 40))
def test_boxes_follow_the_picture(boxes: list[tuple[float, ...]], scale: float, dx: int) -> None:
    targets = hard(np.array(boxes, np.float32), ["car"] * len(boxes))
    moved = targets.moved(np.array([[scale, 0, dx], [0, scale, 0]]), 2 * SIDE, 2 * SIDE)
    inside = [(x0, y0, x1, y1) for x0, y0, x1, y1 in boxes if x1 * scale + dx > 0]
    wanted = np.array([(max(0, x0 * scale + dx), y0 * scale, x1 * scale + dx, y1 * scale) for x0, y0, x1, y1 in inside])
    assert np.allclose(moved.boxes, wanted.reshape(-1, 4), atol=1e-3)


@given(boxes=st.lists(box, min_size=1, max_size=6))
def test_mirroring_twice_changes_nothing(boxes: list[tuple[float, ...]]) -> None:
    targets = hard(np.array(boxes, np.float32), ["bus"] * len(boxes))
    mirror = np.array([[-1.0, 0, SIDE], [0, 1.0, 0]])
    there = targets.moved(mirror, SIDE, SIDE)
    assert np.allclose(there.moved(mirror, SIDE, SIDE).boxes, targets.boxes)
    assert (there.boxes[:, 2] > there.boxes[:, 0]).all()


def test_what_is_tiny_or_mostly_cut_away_is_a_doubt() -> None:
    targets = hard(np.array([[0, 0, 100, 100], [0, 0, 8, 8], [150, 0, 190, 40]], np.float32), ["car", "car", "car"])
    half = targets.moved(np.array([[0.5, 0, 0], [0, 0.5, 0]]), SIDE, SIDE)
    assert half.solid.tolist() == [True, LEAST_PX <= 4, True]
    shifted = targets.moved(np.array([[1.0, 0, 40], [0, 1.0, 0]]), SIDE, SIDE)
    assert shifted.solid.tolist() == [True, True, False]


def test_nothing_joins_with_something() -> None:
    car = hard(np.array([[1, 2, 30, 40]], np.float32), ["car"])
    both = joined([none(), car, none()])
    assert both.boxes.tolist() == car.boxes.tolist()
    assert both.classes.argmax(1).tolist() == [LABELS.index("car")]
    assert len(joined([])) == 0


@given(a=box, b=box)
def test_overlap_is_symmetric_and_at_most_the_share_inside(a: tuple[float, ...], b: tuple[float, ...]) -> None:
    first, second = np.array([a], np.float32), np.array([b], np.float32)
    iou, inside = overlaps(first, second)
    assert np.allclose(iou, overlaps(second, first)[0].T)
    assert (iou <= inside + 1e-6).all()
    assert overlaps(first, first)[0][0, 0] > 0.999
