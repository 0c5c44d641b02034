"""Average precision and its kin: their laws, and a plain reference that computes them the long way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.vision.matching import Case, Matched, average_precision, match, recall_at_precision

BOX = st.tuples(*[st.integers(0, 24)] * 2, *[st.integers(4, 24)] * 2).map(
    lambda one: (one[0], one[1], one[0] + one[2], one[1] + one[3])
)
SCORE = st.integers(1, 20).map(lambda one: one / 20)


def case(truths, found):
    return Case(
        np.array(truths, float).reshape(-1, 4),
        np.array([box for box, _ in found], float).reshape(-1, 4),
        np.array([score for _, score in found], float),
    )


CASE = st.builds(case, st.lists(BOX, max_size=6), st.lists(st.tuples(BOX, SCORE), max_size=8))
CASES = st.lists(CASE, min_size=1, max_size=4)
few = settings(max_examples=40)


def reference(matched: Matched) -> float:
    """The area under the best precision at each recall or above, recall by recall."""
    points = []
    for threshold in sorted(set(matched.scores.tolist())):
        told = [right for score, right in zip(matched.scores, matched.right, strict=True) if score >= threshold]
        points.append((sum(told) / len(matched.met), sum(told) / len(told)))
    area, before = 0.0, 0.0
    for recall in sorted({recall for recall, _ in points}):
        area += (recall - before) * max(precision for other, precision in points if other >= recall)
        before = recall
    return area


@few
@given(CASES)
def test_it_is_what_the_long_way_gives(cases):
    matched = match(cases)
    found = average_precision(matched)
    if not len(matched.met):
        assert found is None
        return
    assert found == pytest.approx(reference(matched))
    assert 0 <= found <= 1


@few
@given(CASES)
def test_each_true_box_is_met_by_one_at_most(cases):
    matched = match(cases)
    assert matched.right.sum() == matched.met.sum()


@few
@given(st.lists(st.dictionaries(BOX, SCORE, max_size=5), min_size=1, max_size=4))
def test_perfect_predictions_give_one(pictures):
    cases = [case(list(each), list(each.items())) for each in pictures]
    matched = match(cases)
    if len(matched.met):
        assert matched.precision == matched.recall == 1
        assert average_precision(matched) == pytest.approx(1)


@few
@given(CASES, st.randoms(use_true_random=False))
def test_order_does_not_matter(cases, random):
    shuffled = []
    for one in cases:
        truths, found = list(one.truths), list(zip(one.found, one.scores, strict=True))
        random.shuffle(truths)
        random.shuffle(found)
        shuffled.append(case(truths, found))
    random.shuffle(shuffled)
    assert average_precision(match(shuffled)) == pytest.approx(average_precision(match(cases)))


@few
@given(CASES)
def test_a_duplicate_lowers_precision(cases):
    before = match(cases)
    twice = [
        Case(
            one.truths,
            np.concatenate([one.found, one.found]),
            np.concatenate([one.scores, one.scores]),
        )
        for one in cases
    ]
    after = match(twice)
    assert after.met.sum() >= before.met.sum()
    if before.met.all() and len(before.met):
        assert after.precision < before.precision
        assert average_precision(after) <= average_precision(before)


@few
@given(CASES)
def test_surer_than_everything_and_wrong_costs(cases):
    matched = match(cases)
    before = average_precision(matched)
    wrong = Matched(np.append(matched.scores, 2.0), np.append(matched.right, False), matched.heights_px, matched.met)
    if before:
        assert average_precision(wrong) < before


@few
@given(CASES, st.floats(0.05, 1))
def test_recall_at_a_precision_is_reached_by_a_threshold(cases, least):
    matched = match(cases)
    recall = recall_at_precision(matched, least)
    if recall:
        assert any(
            matched.right[matched.scores >= threshold].mean() >= least
            and matched.right[matched.scores >= threshold].sum() / len(matched.met) == pytest.approx(recall)
            for threshold in matched.scores
        )


def test_a_worked_example():
    """Two things; found surely right, then wrong, then right: area .5 * 1 + .5 * 2/3."""
    there = [(0, 0, 10, 10), (50, 0, 60, 20)]
    found = [((0, 0, 10, 10), 0.9), ((200, 0, 210, 10), 0.8), ((50, 0, 60, 18), 0.7)]
    matched = match([case(there, found)])
    assert average_precision(matched) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert matched.precision == pytest.approx(2 / 3)
    assert matched.recall == 1
    assert recall_at_precision(matched, 0.85) == 0.5
    assert matched.recall_between(16, 32) == 1
    assert matched.recall_between(32, 64) is None


def test_an_overlap_of_less_than_half_is_none():
    assert match([case([(0, 0, 10, 10)], [((0, 0, 10, 4.9), 1.0)])]).recall == 0
    assert match([case([(0, 0, 10, 10)], [((0, 0, 10, 5), 1.0)])]).recall == 1


def test_nothing_anywhere():
    matched = match([case([], [])])
    assert (average_precision(matched), matched.precision, matched.recall) == (None, None, None)
    assert recall_at_precision(matched, 0.5) is None
    assert average_precision(match([case([(0, 0, 9, 9)], [])])) == 0
