"""How good answers are, by what they are for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.tuning.graph import Array
from models.vision.layouts.yolox import found
from models.vision.matching import Case, average_precision, match
from models.vision.suppression import suppress

# Boxes (n x 4, in the input's pixels) that are there in a picture, and their classes, -1 for one that is not judged.
Truths = tuple[NDArray[np.float64], NDArray[np.intp]]
# As service has it, but for the score: nearly the whole curve is wanted.
LEAST_SCORE, OVERLAP = 0.01, 0.6


class Scorer(Protocol):
    name: str

    def add(self, numbers: Sequence[int], output: Array, labels: Array, /) -> int:
        """One batch: numbers of its examples, the network's output and what was wanted, both with rows to spare at the
        end. Gives how many things its loss is the mean of."""

    def score(self) -> float:
        """0..1; 0 where nothing was to be found."""


class Accuracy:
    """The share of labels that are the likeliest."""

    name = "accuracy"

    def __init__(self) -> None:
        self._right = self._count = 0

    def add(self, _numbers: Sequence[int], output: Array, labels: Array, /) -> int:
        counts = labels >= 0
        guesses: Array = output.reshape(*labels.shape, -1).argmax(-1)
        here = int(counts.sum())
        self._right += int(((guesses == labels) & counts).sum())
        self._count += here
        return here

    def score(self) -> float:
        return self._right / max(self._count, 1)


class AveragePrecision:
    """AP50 (models.vision.matching): the mean over classes that are there and that the data labels. What lies mostly
    within a box that is not judged counts neither way."""

    name = "ap50"

    def __init__(
        self, truths: Callable[[int], Truths], grid: NDArray[np.float32], decoded: bool, classes: Collection[int]
    ) -> None:
        self._truths, self._grid, self._decoded, self._classes = truths, grid, decoded, classes
        self._cases: dict[int, list[Case]] = {one: [] for one in classes}

    def add(self, numbers: Sequence[int], output: Array, _labels: Array, /) -> int:
        every = np.arange(output.shape[2] - 5)
        for rows, number in zip(output, numbers, strict=False):
            boxes, classes = self._truths(number)
            given = found(rows, self._grid, every, self._decoded, LEAST_SCORE)
            kept = suppress(given.boxes, given.scores, given.classes, OVERLAP)
            kept = kept[~_mostly_within(given.boxes[kept], boxes[classes < 0])]
            for one in self._classes:
                mine = kept[given.classes[kept] == one]
                self._cases[one].append(
                    Case(boxes[classes == one], given.boxes[mine].astype(float), given.scores[mine].astype(float))
                )
        return len(numbers)

    def score(self) -> float:
        each = [average_precision(match(cases)) for cases in self._cases.values()]
        known = [one for one in each if one is not None]
        return float(np.mean(known)) if known else 0.0


def _mostly_within(boxes: Array, others: Array) -> NDArray[np.bool_]:
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(2)
    own = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    within: NDArray[np.bool_] = (shared > 0.5 * own[:, None]).any(1)
    return within
