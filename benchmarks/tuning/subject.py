"""What the bench trains: a network, what it is given, and its loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.tuning import detector
from benchmarks.tuning.networks import llama, mobilenet
from models.tuning.graph import Array, Graph
from models.tuning.losses import Boxes


@dataclass(frozen=True)
class Subject:
    """labels: of a batch, of so many classes or tokens each. rate: at which it learns a batch by heart, in steps that
    grow no rounding error as far as that goes."""

    network: Callable[[], Graph]
    loss: str
    labels: Callable[[np.random.Generator, tuple[int, ...]], Array]
    count: int
    rate: float
    boxes: Boxes | None = None

    def feeds(self, graph: Graph, batch: int) -> dict[str, Array]:
        """By the names of the network's input, and `labels`."""
        random: np.random.Generator = np.random.default_rng(1)
        ((name, (dims, kind)),) = graph.inputs.items()
        shape = (batch, *(int(str(one)) for one in dims[1:]))
        x: Any = random.normal(size=shape).astype(kind) if kind.kind == "f" else random.integers(0, self.count, shape)
        return {name: x, "labels": self.labels(random, shape)}


SUBJECTS = {
    "mobilenet": Subject(
        mobilenet, "classification", lambda random, shape: random.integers(0, 10, shape[:1]), 10, 1e-3
    ),
    "detector": Subject(
        detector.detector,
        "detection",
        lambda random, shape: detector.labels(random, shape[0]),
        detector.CLASSES,
        1e-3,
        detector.BOXES,
    ),
    "llama": Subject(llama, "language", lambda random, shape: random.integers(0, 4096, shape), 4096, 0.1),
}
