"""From which score on a label counts as found: the lowest at which the held-out pictures show enough precision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from models.training.detector.targets import Array, Targets, overlaps
from models.vision.detector import LABELS, Detection, Label

PRECISION = 0.88
MATCH_IOU = 0.5
# What overlaps a doubt by so much is neither right nor wrong.
DOUBT_IOU = 0.4
LOWEST, HIGHEST, USUAL = 0.20, 0.70, 0.40
# Fewer found than this tell nothing about a threshold.
LEAST_FOUND = 25


@dataclass(frozen=True)
class Judged:
    """Of one label over many pictures: the score of each find and whether it was right. objects: that were there."""

    scores: Array
    right: np.ndarray
    objects: int

    def threshold(self, precision: float = PRECISION) -> float | None:
        """The lowest score from which on at least so much of what is found is right; None if there is too little."""
        if len(self.scores) < LEAST_FOUND:
            return None
        order = np.argsort(-self.scores, kind="stable")
        precise = np.cumsum(self.right[order]) / np.arange(1, len(order) + 1)
        enough = np.flatnonzero(precise[LEAST_FOUND - 1 :] >= precision)
        if not len(enough):
            return HIGHEST
        return float(self.scores[order][enough[-1] + LEAST_FOUND - 1])


def judge(label: Label, cases: Iterable[tuple[Sequence[Detection], Targets]]) -> Judged:
    """Each find of `label`, the surest first, takes the object of that label that it covers best, once each. A find on
    an object whose class is not known, or on a doubt, is left out."""
    column = LABELS.index(label)
    scores: list[float] = []
    right: list[bool] = []
    objects = 0
    for found, targets in cases:
        here = targets.solid & (targets.classes.argmax(1) == column) if len(targets) else np.zeros(0, bool)
        objects += int(here.sum())
        free = here.copy()
        for one in sorted((each for each in found if each.label == label), key=lambda each: -each.score):
            iou = overlaps(np.array([one.box], np.float32), targets.boxes)[0][0]
            best = int(np.where(free, iou, 0).argmax()) if free.any() else -1
            if best >= 0 and iou[best] >= MATCH_IOU:
                free[best] = False
                scores.append(one.score)
                right.append(True)
                continue
            unknown = ~targets.solid | (targets.known[:, column] == 0)
            if len(iou) and (iou[unknown] >= DOUBT_IOU).any():
                continue
            scores.append(one.score)
            right.append(False)
    return Judged(np.array(scores, np.float32), np.array(right, bool), objects)


def choose(sets: Sequence[Sequence[tuple[Sequence[Detection], Targets]]]) -> dict[Label, float]:
    """A threshold for each label: the highest that any of the sets asks for, within bounds, rounded up to 0.01. sets:
    each of one kind of picture, with what was found in it at low scores."""
    chosen: dict[Label, float] = {}
    for label in LABELS:
        asked = [one for cases in sets if (one := judge(label, cases).threshold()) is not None]
        highest = max(asked, default=USUAL)
        chosen[label] = float(np.ceil(np.clip(highest, LOWEST, HIGHEST) * 100 - 1e-6) / 100)
    return chosen
