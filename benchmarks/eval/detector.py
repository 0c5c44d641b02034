"""A detector against labelled pictures, and its speed beside another's."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from benchmarks.eval.naming import Naming
from benchmarks.eval.pictures import Labelled, picture
from models.vision.detector import Detection, Detector
from models.vision.matching import Case, Matched, average_precision, match, recall_at_precision
from models.vision.suppression import suppress

# The whole curve of precision over recall is wanted, so that nearly everything is.
LEAST_SCORE = 0.01
PRECISION = 0.85
HEIGHTS_PX: dict[str, tuple[float, float]] = {
    "16-32": (16, 32),
    "32-64": (32, 64),
    "64-128": (64, 128),
    "128-": (128, float("inf")),
}


class ClassFigures(Struct, frozen=True, kw_only=True):
    """precision, recall: at the threshold of service. None: nothing was found, or nothing is there to be found."""

    ap50: float | None
    precision: float | None
    recall: float | None
    recall_at_p85: float | None
    recall_by_height_px: dict[str, float | None]
    objects: int
    found: int


class Figures(Struct, frozen=True, kw_only=True):
    """ms_per_image: the median of whole detect() calls on one thread, decoding of files left out. ms_ratio: the median
    over pictures of its time by the other's, both on the same picture one after the other."""

    model: str
    classes: dict[str, ClassFigures]
    all_vehicles: ClassFigures
    images: int
    images_without_labels: int
    ms_per_image: float
    ms_ratio: float | None
    against_ms_per_image: float | None


@dataclass(frozen=True)
class Seen:
    """One picture: what is there and what was found, by the names to compare. sure: at the threshold of service."""

    truths: tuple[tuple[str, tuple[float, float, float, float]], ...]
    found: tuple[tuple[str, Detection], ...]
    sure: tuple[bool, ...]

    def case(self, names: frozenset[str], only_sure: bool, merged: bool) -> Case:
        """merged: these names are one class, of which nothing is told twice."""
        truths = [box for name, box in self.truths if name in names]
        found = [
            one
            for (name, one), sure in zip(self.found, self.sure, strict=True)
            if name in names and (sure or not only_sure)
        ]
        boxes, scores = _boxes(one.box for one in found), np.array([one.score for one in found], float)
        if merged and found:
            kept = suppress(boxes, scores)
            boxes, scores = boxes[kept], scores[kept]
        return Case(_boxes(truths), boxes, scores)


def measure(cases: Sequence[Labelled], naming: Naming, detector: Detector, against: Detector | None = None) -> Figures:
    """Both detectors are opened with LEAST_SCORE. cases: at least one.
    Raises NameUnknown (KF104), PictureUnreadable (KF103)."""
    used = {thing.number for one in cases for thing in one.things or ()}
    judged = naming.judged(used, detector.name)
    cv2.setNumThreads(1)
    seen, ms, against_ms = [], [], []
    for number, one in enumerate(cases):
        image = picture(one.picture)
        if number == 0:  # the first of each pays for what later ones find ready
            _timed(detector, image)
        others_turn = number % 2 == 1
        if against is not None and others_turn:
            against_ms.append(_timed(against, image)[1])
        found, took_ms = _timed(detector, image)
        ms.append(took_ms)
        if against is not None and not others_turn:
            if number == 0:
                _timed(against, image)
            against_ms.append(_timed(against, image)[1])
        seen.append(_seen(one, image, found, naming, detector))
    return Figures(
        model=detector.name,
        classes={name: _judge(seen, frozenset({name}), len(_called(naming, name)) > 1) for name in judged},
        all_vehicles=_judge(seen, naming.vehicles, True),
        images=len(cases),
        images_without_labels=sum(one.things is None for one in cases),
        ms_per_image=round(median(ms), 3),
        ms_ratio=round(median(a / b for a, b in zip(ms, against_ms, strict=True)), 3) if against is not None else None,
        against_ms_per_image=round(median(against_ms), 3) if against is not None else None,
    )


def _timed(detector: Detector, image: NDArray[Any]) -> tuple[tuple[Detection, ...], float]:
    begin = time.perf_counter()
    found = detector.detect(image)
    return found, (time.perf_counter() - begin) * 1000


def _seen(one: Labelled, image: NDArray[Any], found: Sequence[Detection], naming: Naming, detector: Detector) -> Seen:
    height, width = image.shape[:2]
    truths = tuple((naming.of(naming.names[thing.number]), thing.box(width, height)) for thing in one.things or ())
    thresholds: Mapping[Any, float] = detector.thresholds
    return Seen(
        truths,
        tuple((naming.of(each.label), each) for each in found),
        tuple(each.score >= thresholds[each.label] for each in found),
    )


def _called(naming: Naming, name: str) -> list[str]:
    return [label for label in naming.labels if naming.of(label) == name]


def _judge(seen: Sequence[Seen], names: frozenset[str], merged: bool) -> ClassFigures:
    every = match([one.case(names, False, merged) for one in seen])
    sure = match([one.case(names, True, merged) for one in seen])
    return ClassFigures(
        ap50=_rounded(average_precision(every)),
        precision=_rounded(sure.precision),
        recall=_rounded(sure.recall),
        recall_at_p85=_rounded(recall_at_precision(every, PRECISION)),
        recall_by_height_px=_by_height(sure),
        objects=len(sure.met),
        found=len(sure.right),
    )


def _by_height(matched: Matched) -> dict[str, float | None]:
    return {name: _rounded(matched.recall_between(*between)) for name, between in HEIGHTS_PX.items()}


def _boxes(boxes: Any) -> NDArray[np.float64]:
    return np.array(list(boxes), float).reshape(-1, 4)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
