"""Sums, means, extremes and norms over axes. Their gradients stand for the broadcast and are not expanded here."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.tuning.graph import Shape
from models.tuning.rules import Call, NoRule, rule


def _axes(call: Call) -> list[int]:
    given = call.axes()
    if given is None:
        if call.attribute("noop_with_empty_axes", 0):
            raise NoRule("it has no axes")
        return list(range(len(call.shape())))
    return given


def _kept(call: Call, axes: Sequence[int]) -> Shape:
    return tuple(1 if axis in axes else one for axis, one in enumerate(call.shape()))


def _spread(call: Call, name: str, axes: Sequence[int]) -> str:
    """A tensor of the output's shape as one that broadcasts to the input's."""
    return call.build.reshape(name, _kept(call, axes))


@rule("ReduceSum")
def reduce_sum(call: Call) -> Sequence[str]:
    return [_spread(call, call.dy[0], _axes(call))]


@rule("ReduceMean")
def reduce_mean(call: Call) -> Sequence[str]:
    axes = _axes(call)
    count = math.prod(call.shape()[axis] for axis in axes)
    share = call.build.note(call.add("Mul", call.dy[0], call.number(1.0 / count)), call.out_shape, call.y[0])
    return [_spread(call, share, axes)]


@rule("ReduceMax", "ReduceMin")
def reduce_extreme(call: Call) -> Sequence[str]:
    """In equal parts to all places that hold the extreme."""
    axes, build = _axes(call), call.build
    mask = build.cast(call.add("Equal", call.x[0], _spread(call, call.y[0], axes)), call.y[0])
    dy = call.add("Div", _spread(call, call.dy[0], axes), build.sum_over(mask, axes, keep=True))
    return [call.add("Mul", mask, dy)]


@rule("ReduceL2")
def reduce_l2(call: Call) -> Sequence[str]:
    axes = _axes(call)
    ratio = call.add("Div", _spread(call, call.dy[0], axes), _spread(call, call.y[0], axes))
    return [call.add("Mul", call.x[0], ratio)]


@rule("ReduceSumSquare")
def reduce_sum_square(call: Call) -> Sequence[str]:
    twice = call.add("Mul", _spread(call, call.dy[0], _axes(call)), call.number(2.0))
    return [call.add("Mul", call.x[0], twice)]
