"""Boxes found against boxes that are there: which are right, and the figures that follow. Pure.

Average precision is the area under precision over recall, precision made non-increasing from the right (all points;
Everingham et al., The PASCAL VOC challenge: a retrospective, 2015, section 2.2.3 of its development kit since 2010)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.vision.suppression import overlaps

OVERLAP = 0.5
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """One picture: m boxes that are there (m x 4: left, top, right, bottom in pixels), n that were found, and the n
    scores."""

    truths: Floats
    found: Floats
    scores: Floats


@dataclass(frozen=True)
class Matched:
    """Of all pictures: each found box's score and whether it is right; each true box's height in pixels and whether it
    was found."""

    scores: Floats
    right: NDArray[np.bool_]
    heights_px: Floats
    met: NDArray[np.bool_]

    @property
    def precision(self) -> float | None:
        return float(self.right.mean()) if len(self.right) else None

    @property
    def recall(self) -> float | None:
        return float(self.met.mean()) if len(self.met) else None

    def recall_between(self, least_px: float, below_px: float) -> float | None:
        """Of true boxes of at least the first height and less than the second."""
        here = (self.heights_px >= least_px) & (self.heights_px < below_px)
        return float(self.met[here].mean()) if here.any() else None


def match(cases: list[Case]) -> Matched:
    """The surest found box of a picture takes the true one that it covers best, by an intersection over union of at
    least OVERLAP; each true box is taken once. Neither the pictures' order nor that of their boxes matters."""
    each = [_match_one(case) for case in cases]
    nothing = np.empty(0)
    return Matched(
        np.concatenate([nothing, *(case.scores for case in cases)]),
        np.concatenate([nothing.astype(bool), *(right for right, _ in each)]),
        np.concatenate([nothing, *(case.truths[:, 3] - case.truths[:, 1] for case in cases)]),
        np.concatenate([nothing.astype(bool), *(met for _, met in each)]),
    )


def average_precision(matched: Matched) -> float | None:
    """0..1; None where nothing is there to be found."""
    if not len(matched.met):
        return None
    recall, precision = _curve(matched)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return min(1.0, float(np.sum(np.diff(recall, prepend=0.0) * falling)))


def recall_at_precision(matched: Matched, least: float) -> float | None:
    """The most recall at any threshold whose precision is at least that; 0 where there is no such threshold, None where
    nothing is there to be found."""
    if not len(matched.met):
        return None
    recall, precision = _curve(matched)
    return float(recall[precision >= least].max(initial=0.0))


def _curve(matched: Matched) -> tuple[Floats, Floats]:
    """Recall and precision at each score as the threshold, the highest first. Boxes of one score enter together."""
    order = np.argsort(-matched.scores, kind="stable")
    scores, right = matched.scores[order], np.cumsum(matched.right[order])
    last = np.flatnonzero(np.diff(scores, append=-np.inf))
    return right[last] / len(matched.met), right[last] / (last + 1)


def _match_one(case: Case) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    right, met = np.zeros(len(case.found), bool), np.zeros(len(case.truths), bool)
    if not len(right) or not len(met):
        return right, met
    free = overlaps(case.found, case.truths)
    free[free < OVERLAP] = 0
    truths = np.lexsort(case.truths.T)  # of equal overlaps the first by place
    for number in np.lexsort((*case.found.T, -case.scores)):
        best = truths[free[number, truths].argmax()]
        if free[number, best] > 0:
            right[number] = met[best] = True
            free[:, best] = 0
    return right, met
