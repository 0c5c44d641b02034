"""Elementwise arithmetic, with broadcasting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.tuning.rules import Call, broadcast_shapes, rule


def _noted(call: Call, gradient: str, *others: str) -> str:
    """`gradient`, a product with `others`, noted with the shape that it has."""
    shapes = [call.build.shape(one) for one in others]
    return call.build.note(gradient, broadcast_shapes(*shapes), call.y[0])


def times(call: Call, dy: str, factor: str) -> str:
    return _noted(call, call.add("Mul", dy, factor), dy, factor)


def local(call: Call, op: str, *inputs: str) -> str:
    """A step on the way to a factor of the output's shape."""
    return call.build.note(call.add(op, *inputs), call.out_shape, call.y[0])


@rule("Add")
def add(call: Call) -> Sequence[str]:
    return [call.match(call.dy[0], i) if wanted else "" for i, wanted in enumerate(call.wanted)]


@rule("Sum")
def sum_(call: Call) -> Sequence[str]:
    return add(call)


@rule("Sub")
def sub(call: Call) -> Sequence[str]:
    first = call.match(call.dy[0], 0) if call.wanted[0] else ""
    if not call.wanted[1]:
        return [first, ""]
    summed = call.match(call.dy[0], 1)
    return [first, call.build.note(call.add("Neg", summed), call.build.shape(summed), call.y[0])]


@rule("Mul")
def mul(call: Call) -> Sequence[str]:
    a, b = call.x
    if a == b:
        return [times(call, times(call, call.dy[0], a), call.number(2.0)), ""]
    return [
        call.match(times(call, call.dy[0], b), 0) if call.wanted[0] else "",
        call.match(times(call, call.dy[0], a), 1) if call.wanted[1] else "",
    ]


@rule("Div")
def div(call: Call) -> Sequence[str]:
    dy, (_, b), y = call.dy[0], call.x, call.y[0]
    by = _noted(call, call.add("Div", dy, b), dy, b)
    second = ""
    if call.wanted[1]:
        product = times(call, by, y)
        second = call.match(_noted(call, call.add("Neg", product), product), 1)
    return [call.match(by, 0) if call.wanted[0] else "", second]


@rule("Pow")
def pow_(call: Call) -> Sequence[str]:
    dy, (x, exponent), y = call.dy[0], call.x, call.y[0]
    first = second = ""
    value = call.value(1)
    if call.wanted[0]:
        if value is not None and value.size == 1 and float(value.reshape(-1)[0]) == 2.0:
            slope = local(call, "Mul", x, call.number(2.0))
        else:
            like = (
                call.build.cast(exponent, call.y[0]) if call.build.dtype(exponent) != call.build.dtype(y) else exponent
            )
            lower = call.add("Sub", like, call.number(1.0))
            slope = local(call, "Mul", like, call.add("Pow", x, lower))
        first = call.match(times(call, dy, slope), 0)
    if call.wanted[1]:
        second = call.match(times(call, dy, local(call, "Mul", y, call.add("Log", x))), 1)
    return [first, second]


@rule("Neg", lazy=True)
def neg(call: Call) -> Sequence[str]:
    return [_noted(call, call.add("Neg", call.dy[0]), call.dy[0])]


@rule("Identity", "Dropout", lazy=True)
def identity(call: Call) -> Sequence[str]:
    return [call.dy[0]]


@rule("Cast")
def cast(call: Call) -> Sequence[str]:
    return [call.build.cast(call.dy[0], call.x[0])]


@rule("Exp", lazy=True)
def exp(call: Call) -> Sequence[str]:
    return [times(call, call.dy[0], call.y[0])]


@rule("Log")
def log(call: Call) -> Sequence[str]:
    return [_noted(call, call.add("Div", call.dy[0], call.x[0]), call.y[0])]


@rule("Sqrt")
def sqrt(call: Call) -> Sequence[str]:
    half = _noted(call, call.add("Mul", call.dy[0], call.number(0.5)), call.dy[0])
    return [_noted(call, call.add("Div", half, call.y[0]), call.y[0])]


@rule("Reciprocal")
def reciprocal(call: Call) -> Sequence[str]:
    square = local(call, "Mul", call.y[0], call.y[0])
    product = times(call, call.dy[0], square)
    return [_noted(call, call.add("Neg", product), product)]


@rule("Abs", lazy=True)
def abs_(call: Call) -> Sequence[str]:
    return [times(call, call.dy[0], local(call, "Sign", call.x[0]))]


@rule("Sin", lazy=True)
def sin(call: Call) -> Sequence[str]:
    return [times(call, call.dy[0], local(call, "Cos", call.x[0]))]


@rule("Cos")
def cos(call: Call) -> Sequence[str]:
    product = times(call, call.dy[0], local(call, "Sin", call.x[0]))
    return [_noted(call, call.add("Neg", product), product)]


@rule("Max", "Min")
def extreme(call: Call) -> Sequence[str]:
    """To the input that gave the output; to each of several equal ones in equal parts."""
    masks = [_mask(call, x) for x in call.x]
    count = masks[0]
    for one in masks[1:]:
        count = local(call, "Add", count, one)
    dy = call.dy[0] if len(masks) == 1 else _noted(call, call.add("Div", call.dy[0], count), call.y[0])
    return [call.match(times(call, dy, mask), i) if call.wanted[i] else "" for i, mask in enumerate(masks)]


def _mask(call: Call, x: str) -> str:
    equal = call.add("Equal", x, call.y[0])
    return call.build.note(call.build.cast(equal, call.y[0]), call.out_shape, call.y[0])


@rule("Where")
def where(call: Call) -> Sequence[str]:
    condition, zero = call.x[0], call.number(0.0)
    results = [""]
    for i, order in ((1, (call.dy[0], zero)), (2, (zero, call.dy[0]))):
        if not call.wanted[i]:
            results.append("")
            continue
        chosen = call.build.note(call.add("Where", condition, *order), call.out_shape, call.y[0])
        results.append(call.match(chosen, i))
    return results


@rule("Mean")
def mean(call: Call) -> Sequence[str]:
    share = _noted(call, call.add("Mul", call.dy[0], call.number(1.0 / np.float64(len(call.x)))), call.dy[0])
    return [call.match(share, i) if wanted else "" for i, wanted in enumerate(call.wanted)]
