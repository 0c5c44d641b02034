"""Softmax, and the loss that is its usual end."""

from __future__ import annotations

from collections.abc import Sequence

from models.tuning.rules import Call, rule


def _axis(call: Call) -> int:
    return int(call.attribute("axis", -1)) % len(call.shape())


@rule("Softmax")
def softmax(call: Call) -> Sequence[str]:
    """y (g - sum(g y))."""
    y, axis = call.y[0], _axis(call)
    along = call.build.sum_over(call.add("Mul", call.dy[0], y), (axis,), keep=True)
    return [call.add("Mul", y, call.add("Sub", call.dy[0], along))]


@rule("LogSoftmax")
def log_softmax(call: Call) -> Sequence[str]:
    """g - exp(y) sum(g)."""
    total = call.build.sum_over(call.dy[0], (_axis(call),), keep=True)
    return [call.add("Sub", call.dy[0], call.add("Mul", call.add("Exp", call.y[0]), total))]
