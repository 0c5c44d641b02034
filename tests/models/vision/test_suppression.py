"""Of boxes that show one thing the surest stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.vision import suppression
from models.vision.suppression import MOST, overlaps, suppress

BOX = st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(1, 30)] * 2).map(
    lambda one: (one[0], one[1], one[0] + one[2], one[1] + one[3])
)
SEEN = st.lists(st.tuples(BOX, st.integers(1, 100), st.integers(0, 2)), max_size=25)

few = settings(max_examples=40)


def parts(seen):
    boxes = np.array([one for one, _, _ in seen], np.float32).reshape(-1, 4)
    return boxes, np.array([one / 100 for _, one, _ in seen]), np.array([one for _, _, one in seen], int)


def one_by_one(boxes, scores, classes, overlap):
    kept = []
    for number in sorted(range(len(boxes)), key=lambda one: -scores[one]):
        if all(classes[number] != classes[one] or iou(boxes[number], boxes[one]) <= overlap for one in kept):
            kept.append(number)
    return kept


def iou(a, b):
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(across, 0) * max(down, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


@few
@given(SEEN, st.sampled_from([0.25, 0.5, 0.75, 1.0]), st.sampled_from([1, 4, 128]))
def test_it_keeps_what_a_plain_loop_keeps(seen, overlap, block):
    boxes, scores, classes = parts(seen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suppression, "BLOCK", block)
        assert suppress(boxes, scores, classes, overlap).tolist() == one_by_one(boxes, scores, classes, overlap)


def test_many_boxes_go_as_few_do():
    random = np.random.default_rng(3)
    middles, scores, classes = random.uniform(0, 300, (600, 2)), random.uniform(0, 1, 600), random.integers(0, 3, 600)
    boxes = np.hstack([middles - 20, middles + 20])
    overlap = 0.5
    assert suppress(boxes, scores, classes, overlap).tolist() == one_by_one(boxes, scores, classes, overlap)


@few
@given(SEEN)
def test_without_classes_all_are_one(seen):
    boxes, scores, classes = parts(seen)
    assert suppress(boxes, scores).tolist() == suppress(boxes, scores, classes * 0).tolist()


@few
@given(SEEN)
def test_what_is_kept_stays_when_asked_again(seen):
    boxes, scores, classes = parts(seen)
    kept = suppress(boxes, scores, classes)
    assert suppress(boxes[kept], scores[kept], classes[kept]).tolist() == list(range(len(kept)))


@few
@given(st.lists(BOX, min_size=1, max_size=8), st.lists(BOX, min_size=1, max_size=8))
def test_overlaps_are_shares_both_ways(some, others):
    one, other = np.array(some, float), np.array(others, float)
    share = overlaps(one, other)
    assert share.shape == (len(some), len(others))
    assert ((share >= 0) & (share <= 1)).all()
    assert np.allclose(share, overlaps(other, one).T)
    assert np.allclose(np.diag(overlaps(one, one)), 1)


def test_boxes_without_area_cover_nothing():
    assert overlaps(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [[0.0]]


def test_there_is_an_end():
    many = np.arange(MOST + 50, dtype=float)[:, None] * 10 + np.array([0, 0, 5, 5])
    assert len(suppress(many, np.ones(len(many)))) == MOST
