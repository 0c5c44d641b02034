"""Activations. Where the output tells the slope, the input need not be kept: then the runtime can join the activation
with the convolution before it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.tuning.rules import Call, NoRule, rule
from models.tuning.rules.elementwise import local, times


def masked(call: Call, mask: str) -> str:
    """dy where `mask` (of truth values) is true, else 0. A product with the mask as numbers would take a fiftieth less
    of a step's time, but those numbers stay from the way forward on, four bytes each; truth values are one."""
    return call.build.note(call.add("Where", mask, call.dy[0], call.number(0.0)), call.out_shape, call.y[0])


@rule("Relu", lazy=True)
def relu(call: Call) -> Sequence[str]:
    return [masked(call, call.add("Greater", call.y[0], call.number(0.0)))]


@rule("Clip", lazy=True)
def clip(call: Call) -> Sequence[str]:
    """Strictly within the bounds: at a bound the gradient is 0, as torch's relu6 has it."""
    parts = []
    for index, op in ((1, "Greater"), (2, "Less")):
        if call.has(index):
            parts.append(call.add(op, call.y[0], call.x[index]))
    if not parts:
        return [call.dy[0]]
    mask = parts[0] if len(parts) == 1 else call.add("And", *parts)
    return [masked(call, mask), *[""] * (len(call.x) - 1)]


@rule("LeakyRelu", lazy=True)
def leaky_relu(call: Call) -> Sequence[str]:
    alpha = float(call.attribute("alpha", 0.01))
    if alpha < 0:
        raise NoRule("its slope is negative")
    above = call.build.cast(call.add("Greater", call.y[0], call.number(0.0)), call.y[0])
    slope = local(call, "Add", call.add("Mul", above, call.number(1 - alpha)), call.number(alpha))
    return [times(call, call.dy[0], slope)]


@rule("PRelu")
def prelu(call: Call) -> Sequence[str]:
    x, slope = call.x
    above = call.add("Greater", x, call.number(0.0))
    first = second = ""
    if call.wanted[0]:
        first = times(call, call.dy[0], local(call, "Where", above, call.number(1.0), slope))
    if call.wanted[1]:
        below = local(call, "Where", above, call.number(0.0), x)
        second = call.match(times(call, call.dy[0], below), 1)
    return [first, second]


@rule("Elu", lazy=True)
def elu(call: Call) -> Sequence[str]:
    """alpha (exp(x) - 1) below 0, whose slope is y + alpha."""
    alpha = float(call.attribute("alpha", 1.0))
    above = call.add("Greater", call.x[0], call.number(0.0))
    below = call.add("Add", call.y[0], call.number(alpha))
    return [times(call, call.dy[0], local(call, "Where", above, call.number(1.0), below))]


@rule("Sigmoid", lazy=True)
def sigmoid(call: Call) -> Sequence[str]:
    y = call.y[0]
    return [times(call, call.dy[0], local(call, "Mul", y, call.add("Sub", call.number(1.0), y)))]


@rule("Tanh", lazy=True)
def tanh(call: Call) -> Sequence[str]:
    y = call.y[0]
    return [times(call, call.dy[0], local(call, "Sub", call.number(1.0), call.add("Mul", y, y)))]


@rule("Softplus", lazy=True)
def softplus(call: Call) -> Sequence[str]:
    return [times(call, call.dy[0], local(call, "Sigmoid", call.x[0]))]


@rule("Erf", lazy=True)
def erf(call: Call) -> Sequence[str]:
    x = call.x[0]
    bell = call.add("Exp", call.add("Neg", call.add("Mul", x, x)))
    return [times(call, call.dy[0], local(call, "Mul", bell, call.number(2 / math.sqrt(math.pi))))]


@rule("HardSigmoid", lazy=True)
def hard_sigmoid(call: Call) -> Sequence[str]:
    alpha = float(call.attribute("alpha", 0.2))
    inside = call.add(
        "And", call.add("Greater", call.y[0], call.number(0.0)), call.add("Less", call.y[0], call.number(1.0))
    )
    dy = masked(call, inside)
    return [times(call, dy, call.number(alpha))]


@rule("HardSwish", lazy=True)
def hard_swish(call: Call) -> Sequence[str]:
    """x clip(x / 6 + 1/2, 0, 1): slope 0 below -3, 1 above 3, x / 3 + 1/2 between."""
    x = call.x[0]
    between = call.add("Add", call.add("Mul", x, call.number(1 / 3)), call.number(0.5))
    above = call.add("Where", call.add("Less", x, call.number(3.0)), between, call.number(1.0))
    slope = local(call, "Where", call.add("Greater", x, call.number(-3.0)), above, call.number(0.0))
    return [times(call, call.dy[0], slope)]


@rule("Silu", lazy=True)
def silu(call: Call) -> Sequence[str]:
    """Of models.tuning.composites: y = x s with s = sigmoid(x), its second output. Slope s + y (1 - s)."""
    y, s = call.y
    rest = call.add("Mul", y, call.add("Sub", call.number(1.0), s))
    return [times(call, call.dy[0], local(call, "Add", s, rest))]


@rule("Gelu", lazy=True)
def gelu(call: Call) -> Sequence[str]:
    """x F(x) with the normal distribution F (Hendrycks and Gimpel 2016, arXiv 1606.08415): slope F(x) + x f(x)."""
    if call.attribute("approximate", "none") != "none":
        raise NoRule("of its two forms the one by tanh has none")
    x = call.x[0]
    error = call.add("Erf", call.add("Mul", x, call.number(math.sqrt(0.5))))
    below = call.add("Mul", call.add("Add", error, call.number(1.0)), call.number(0.5))
    bell = call.add("Exp", call.add("Mul", call.add("Mul", x, x), call.number(-0.5)))
    density = call.add("Mul", bell, call.number(1 / math.sqrt(2 * math.pi)))
    return [times(call, call.dy[0], local(call, "Add", below, call.add("Mul", x, density)))]
