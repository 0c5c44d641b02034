"""What several looks at a picture say together, and what of it a set's own labels leave to be said."""

from __future__ import annotations

import numpy as np

from models.training.detector.targets import Array, Targets, joined, overlaps
from models.vision.detector import LABELS

SAME_IOU = 0.55
# Mean score over the views from which a box is an object, and from which it is at least a doubt.
SURE, DOUBT = 0.38, 0.08


def suppress(boxes: Array, scores: Array, iou: float = 0.6) -> list[int]:
    """Indices of the best of each heap of boxes, whatever their class."""
    order = list(np.argsort(-scores.max(1), kind="stable"))
    kept: list[int] = []
    alive = np.ones(len(boxes), bool)
    for index in order:
        if alive[index]:
            kept.append(int(index))
            alive &= overlaps(boxes[index : index + 1], boxes)[0][0] < iou
    return kept


def merge(boxes: Array, scores: Array, views: int) -> tuple[Array, Array]:
    """Boxes of all views that mean one object become their mean, weighted by score; scores are the mean over the views
    that saw it, less where fewer than half did (weighted boxes fusion, Solovyev et al. 2021, arXiv 1910.13302)."""
    best = scores.max(1) if len(scores) else np.zeros(0, np.float32)
    alive = np.ones(len(boxes), bool)
    merged_boxes, merged_scores = [], []
    for index in np.argsort(-best, kind="stable"):
        if not alive[index]:
            continue
        same = alive & (overlaps(boxes[index : index + 1], boxes)[0][0] >= SAME_IOU)
        same[index] = True
        alive &= ~same
        weight = best[same] / best[same].sum()
        merged_boxes.append((boxes[same] * weight[:, None]).sum(0))
        count = min(int(same.sum()), views)
        merged_scores.append(scores[same].sum(0) / max(same.sum(), 1) * min(1.0, count / (views / 2)))
    if not merged_boxes:
        return np.zeros((0, 4), np.float32), np.zeros((0, len(LABELS)), np.float32)
    return np.array(merged_boxes, np.float32), np.array(merged_scores, np.float32)


def combine(given: Targets, boxes: Array, scores: Array) -> Targets:
    """The set's own labels first; the teacher adds what the set does not label.

    A teacher's box on a labelled object says nothing. One of a class that the set labels in this picture, where it has
    nothing, is a doubt; where it labels none of a class in a whole picture (cars beside ambulances are often left out),
    the teacher is believed. A fire engine is a truck or a bus to the teacher, so that column is masked for those.
    """
    if not len(boxes):
        return given
    labelled = {LABELS[column] for column in given.classes.argmax(1)} if len(given) else set()
    best = scores.argmax(1)
    top = scores.max(1)
    if len(given):
        iou, inside = overlaps(boxes, given.boxes)
        taken = (iou.max(1) > 0.5) | ((inside.max(1) > 0.8) & ~np.isin(best, [LABELS.index("person")]))
    else:
        taken = np.zeros(len(boxes), bool)
    chosen = (top >= DOUBT) & ~taken
    boxes, scores, best, top = boxes[chosen], scores[chosen], best[chosen], top[chosen]
    solid = (top >= SURE) & np.array([LABELS[int(one)] not in labelled for one in best], bool)
    # A mean over views is timid: what is surely there is taught as sure, the other classes by their share of it.
    classes = np.clip(scores / np.maximum(top[:, None], 1e-6) * np.clip(0.5 + top[:, None], 0, 1), 0, 1)
    known = np.ones_like(classes)
    heavy = np.isin(best, [LABELS.index("truck"), LABELS.index("bus")])
    known[heavy, LABELS.index("fire_engine")] = 0.0
    return joined([given, Targets(boxes, classes.astype(np.float32), known.astype(np.float32), solid)])
