"""From which score on a label counts as found: the lowest at which the held-out pictures show enough precision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.training.detector.targets import Array, Targets, overlaps
from models.vision.detector import LABELS, Detection, Label
from models.vision.suppression import suppress

PRECISION = 0.85
# Of "there is a vehicle": a little more, since real roads are harder than what we hold out.
VEHICLE_PRECISION = 0.90
EMERGENCY: frozenset[Label] = frozenset({"ambulance", "police_car", "fire_engine"})
ORDINARY: frozenset[Label] = frozenset({"car", "bus", "truck", "motorcycle", "other_vehicle"})
VEHICLES: frozenset[Label] = ORDINARY | EMERGENCY
MATCH_IOU = 0.5
# What overlaps a doubt by so much is neither right nor wrong.
DOUBT_IOU = 0.4
# Open Images draws one box round a group: a find of which so much lies in a box of its class so many times as large is
# not judged, as in that set's own challenge.
WITHIN, GROUP = 0.8, 3.0
# A class that hardly ever fires helps nobody: above HIGHEST the card tells the precision instead.
LOWEST, HIGHEST, USUAL = 0.15, 0.50, 0.40
# Evidence over many frames decides about these (agent/emergency), and needs to see them first.
EMERGENCY_HIGHEST = 0.35
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


Case = tuple[Sequence[Detection], Targets]


def judge(labels: frozenset[Label], cases: Iterable[Case]) -> Judged:
    """Each find of these labels, the surest first, takes the object of any of them that it covers best, once each. Of
    several labels nothing is told twice. A find about which the pictures say nothing is left out."""
    columns = [LABELS.index(label) for label in sorted(labels)]
    scores: list[float] = []
    right: list[bool] = []
    objects = 0
    for found, targets in cases:
        free = targets.solid & np.isin(targets.classes.argmax(1), columns)
        objects += int(free.sum())
        for one in _once([each for each in found if each.label in labels]):
            iou = overlaps(np.array([one.box], np.float32), targets.boxes)[0][0]
            best = int(np.where(free, iou, 0).argmax()) if free.any() else -1
            hit = best >= 0 and iou[best] >= MATCH_IOU
            if hit:
                free[best] = False
            elif len(iou) and _neutral(one, targets, iou, columns):
                continue
            scores.append(one.score)
            right.append(bool(hit))
    return Judged(np.array(scores, np.float32), np.array(right, bool), objects)


def _once(found: list[Detection]) -> list[Detection]:
    boxes = np.array([one.box for one in found], np.float64).reshape(-1, 4)
    return [found[index] for index in suppress(boxes, np.array([one.score for one in found], np.float64))]


def _neutral(one: Detection, targets: Targets, iou: Array, columns: Sequence[int]) -> bool:
    """On a doubt, on an object of which these classes are not known, or within a box drawn round a whole group."""
    unknown = ~targets.solid | (targets.known[:, columns] == 0).any(1)
    box = np.array([one.box], np.float32)
    inside = overlaps(box, targets.boxes)[1][0]
    size = (targets.boxes[:, 2:] - targets.boxes[:, :2]).prod(1)
    large = size >= GROUP * (box[0, 2:] - box[0, :2]).prod()
    group = (inside >= WITHIN) & large & (targets.classes[:, columns] > 0).any(1)
    return bool((unknown & ((iou >= DOUBT_IOU) | (inside >= WITHIN))).any() or group.any())


def choose(sets: Mapping[frozenset[Label], Sequence[Case]]) -> dict[Label, float]:
    """A threshold for each label, within bounds, rounded up to 0.01. sets: for the classes that pictures label, what
    was found in them at low scores.

    Ordinary vehicles share one, at which what is told to be a vehicle is one: whether a van is a car or a truck changes
    no count. Emergency vehicles and the rest are judged by their own class."""
    vehicles = judge(VEHICLES, [case for cases in sets.values() for case in cases])
    everyday = vehicles.threshold(VEHICLE_PRECISION)
    chosen: dict[Label, float] = {}
    for label in LABELS:
        own = judge(frozenset({label}), [case for labels, cases in sets.items() if label in labels for case in cases])
        told = everyday if label in ORDINARY else own.threshold()
        highest = EMERGENCY_HIGHEST if label in EMERGENCY else HIGHEST
        chosen[label] = float(np.ceil(np.clip(USUAL if told is None else told, LOWEST, highest) * 100 - 1e-6) / 100)
    return chosen
