"""One rule for each operator: from the gradient of its outputs to that of its inputs. A file holds a family; adding an
operator is adding a function. All are written in plain ONNX operators, so that they hold in any precision."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from models.tuning.graph import Array, Builder, Node, Shape, listed

FAMILIES = (
    "activation",
    "convolution",
    "elementwise",
    "gathering",
    "matrix",
    "normalisation",
    "pooling",
    "reduction",
    "resizing",
    "rotation",
    "sampling",
    "shaping",
    "softmax",
)


@dataclass(frozen=True)
class Call:
    """One node on the way back. dy: the gradients of its outputs, "" where there is none. wanted: which inputs need
    theirs. frozen: names of constants that nothing trains."""

    build: Builder
    node: Node
    dy: tuple[str, ...]
    wanted: tuple[bool, ...]
    frozen: frozenset[str]

    @property
    def x(self) -> list[str]:
        return self.node.inputs

    @property
    def y(self) -> list[str]:
        return self.node.outputs

    def shape(self, index: int = 0) -> Shape:
        """Of an input."""
        return self.build.shape(self.x[index])

    @property
    def out_shape(self) -> Shape:
        return self.build.shape(self.y[0])

    def has(self, index: int) -> bool:
        return len(self.x) > index and bool(self.x[index])

    def attribute(self, name: str, default: Any = None) -> Any:
        return self.node.attributes.get(name, default)

    def value(self, index: int) -> Array | None:
        """An input that is a constant, and not trained; None for any other."""
        if not self.has(index) or self.x[index] not in self.frozen:
            return None
        return self.build.graph.constants[self.x[index]]

    def axes(self, index: int = 1) -> list[int] | None:
        """Axes, from the attribute of older operators or the input of newer ones, counted from 0."""
        given = self.attribute("axes")
        if given is None and self.has(index):
            given = self.value(index)
            if given is None:
                raise NoRule("its axes are not constant")
        if given is None:
            return None
        rank = len(self.shape())
        return sorted(one % rank for one in listed(given))

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        return self.build.add(op, *inputs, **attributes)

    def number(self, value: float) -> str:
        return self.build.number(value, self.y[0])

    def match(self, gradient: str, index: int) -> str:
        """A gradient of the output's shape, summed to the shape of a broadcast input."""
        return unbroadcast(self.build, gradient, self.shape(index), self.x[index])


class NoRule(Exception):
    """Why a rule does not hold for one node, in words."""


Rule = Callable[[Call], Sequence[str]]
_RULES: dict[str, Rule] = {}
_LAZY: set[str] = set()


def rule(*operators: str, lazy: bool = False) -> Callable[[Rule], Rule]:
    """lazy: the rule takes a gradient that stands for its broadcast to the output's shape: expanding it would cost a
    pass over memory. Its own results are of the broadcast shape where they are multiplied with a full tensor."""

    def register(function: Rule) -> Rule:
        for name in operators:
            _RULES[name] = function
            if lazy:
                _LAZY.add(name)
        return function

    return register


@cache
def all_rules() -> dict[str, Rule]:
    for family in FAMILIES:
        importlib.import_module(f"models.tuning.rules.{family}")
    return _RULES


def is_lazy(operator: str) -> bool:
    return operator in _LAZY


def unbroadcast(build: Builder, gradient: str, shape: Shape, like: str) -> str:
    """Sum `gradient` (its noted shape broadcasts to that of an output) to `shape`, which broadcasts to it as well."""
    given = build.shape(gradient)
    lead = len(given) - len(shape)
    if lead < 0:
        raise ValueError(f"{given} against {shape}")
    axes = [*range(lead), *(lead + i for i, one in enumerate(shape) if one == 1 and given[lead + i] != 1)]
    if not axes:
        return gradient
    done = build.sum_over(gradient, axes)
    build.note(done, [one for axis, one in enumerate(given) if axis not in axes], like)
    return build.reshape(done, shape)


def full(build: Builder, gradient: str, shape: Shape) -> str:
    """Expand a gradient that stands for its broadcast."""
    if build.shape(gradient) == shape:
        return gradient
    done = build.add("Expand", gradient, build.ints(shape))
    return build.note(done, shape, gradient)


def broadcast_shapes(*shapes: Shape) -> Shape:
    return tuple(int(one) for one in np.broadcast_shapes(*shapes))
