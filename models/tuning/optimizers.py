"""SGD, with momentum or without, and Adam, as nodes of the graph and as what a step is given from outside.

As in torch 2: momentum without dampening; Adam (Kingma and Ba 2015, arXiv 1412.6980) with its bias correction; weight
decay is decoupled (Loshchilov and Hutter 2019, arXiv 1711.05101) for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.tuning.graph import Array, Builder

RATE, EPSILON = "rate", "epsilon"


@dataclass(frozen=True)
class Optimizer:
    """name: sgd, momentum or adam. rate: of learning. decay: decoupled weight decay, of the rate."""

    name: str = "sgd"
    rate: float = 0.01
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    decay: float = 0.0

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of what it remembers for each trained number."""
        return {"sgd": (), "momentum": ("velocity",), "adam": ("mean", "square")}[self.name]

    @property
    def scalars(self) -> tuple[str, ...]:
        return (RATE, EPSILON) if self.name == "adam" else (RATE,)

    def given(self, step: int, factor: float = 1.0) -> dict[str, Array]:
        """The scalars of step 1, 2, ...; factor: of the rate, by a schedule."""
        rate = self.rate * factor
        decay = {} if not self.decay else {"shrink": np.float32(1.0 - rate * self.decay)}
        if self.name != "adam":
            return {RATE: np.asarray(rate, np.float32)} | {key: np.asarray(one) for key, one in decay.items()}
        first, second = (1.0 - beta**step for beta in self.betas)
        # torch: w -= rate / first * mean / (sqrt(square) / sqrt(second) + epsilon).
        scaled = {RATE: rate * math.sqrt(second) / first, EPSILON: self.epsilon * math.sqrt(second)}
        return {key: np.asarray(one, np.float32) for key, one in (scaled | decay).items()}

    def update(self, build: Builder, holder: str, gradient: str) -> dict[str, str]:
        """Nodes that give the next values: of `holder` and of its slots, by their names."""
        shrunk = build.add("Mul", holder, "shrink") if self.decay else holder
        if self.name == "sgd":
            return {holder: build.add("Sub", shrunk, build.add("Mul", gradient, RATE))}
        if self.name == "momentum":
            old = f"velocity.{holder}"
            velocity = build.add("Add", build.add("Mul", old, build.number(self.momentum, holder)), gradient)
            return {old: velocity, holder: build.add("Sub", shrunk, build.add("Mul", velocity, RATE))}
        mean = self._average(build, f"mean.{holder}", gradient, self.betas[0])
        square = self._average(build, f"square.{holder}", build.add("Mul", gradient, gradient), self.betas[1])
        root = build.add("Add", build.add("Sqrt", square), EPSILON)
        change = build.add("Mul", build.add("Div", mean, root), RATE)
        return {f"mean.{holder}": mean, f"square.{holder}": square, holder: build.add("Sub", shrunk, change)}

    def _average(self, build: Builder, old: str, new: str, beta: float) -> str:
        kept = build.add("Mul", old, build.number(beta, old))
        return build.add("Add", kept, build.add("Mul", new, build.number(1.0 - beta, old)))

    def starting(self, values: Mapping[str, Array]) -> dict[str, Array]:
        return {f"{slot}.{name}": np.zeros_like(value) for slot in self.slots for name, value in values.items()}
