"""Examples by number, in batches of one size; a fifth of them are kept for judging."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from models.errors import DataUnusable
from models.tuning.graph import Array
from models.tuning.judging import Accuracy, Scorer
from models.tuning.losses import LABELS

JUDGED_SHARE = 0.2
IGNORED = -1


@dataclass(frozen=True)
class Examples:
    """load: what the network takes of one example, by name, and its `labels`. keys: a lasting name of each. labels:
    names of classes, or none. left_out: files that could not be read, each with the reason. filling: of the labels of
    an example that does not count. scorer: what judges answers."""

    keys: tuple[str, ...]
    load: Callable[[int], dict[str, Array]]
    labels: tuple[str, ...] = ()
    classes: tuple[int, ...] = ()
    left_out: tuple[str, ...] = ()
    filling: float = IGNORED
    scorer: Callable[[], Scorer] = Accuracy

    def parts(self) -> tuple[list[int], list[int]]:
        """Numbers of what is trained on and of what is judged on. By each key's hash, so that an example stays on its
        side when others come or go; of each class at least one is on either side where it has two."""
        return self.apart(range(len(self.keys)))

    def apart(self, numbers: Sequence[int], salt: str = "") -> tuple[list[int], list[int]]:
        """Four fifths and one fifth of these examples; with another salt another fifth."""
        judged: list[int] = []
        groups: dict[int, list[int]] = {}
        for number in numbers:
            groups.setdefault(self.classes[number] if self.classes else 0, []).append(number)
        for members in groups.values():
            ordered = sorted(members, key=lambda one: sha256((salt + self.keys[one]).encode()).digest())
            judged += ordered[: max(round(len(ordered) * JUDGED_SHARE), int(len(ordered) > 1))]
        taken = set(judged)
        trained = [number for number in numbers if number not in taken]
        if not trained or not judged:
            raise DataUnusable(path="the data", detail=f"there are {len(numbers)} examples, too few to train and judge")
        return trained, sorted(judged)

    def batches(self, numbers: Sequence[int], size: int, start: int = 0) -> Iterator[dict[str, Array]]:
        """From the batch `start` on. The last one is filled up with examples that do not count."""
        for first in range(start * size, len(numbers), size):
            loaded = [self.load(number) for number in numbers[first : first + size]]
            lacking = size - len(loaded)
            batch = {}
            for name, value in loaded[0].items():
                filling = self.filling if name == LABELS else 0
                more = [np.full(value.shape, filling, value.dtype)] * lacking if lacking else []
                batch[name] = np.stack([*(one[name] for one in loaded), *more])
            yield batch


def shuffled(numbers: Sequence[int], seed: int, epoch: int) -> list[int]:
    """The same order for the same seed and epoch, wherever training is resumed."""
    return [numbers[one] for one in np.random.default_rng((seed, epoch)).permutation(len(numbers))]
