"""What picks by index: back go the gradients, added where one place was picked more than once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.tuning.rules import Call, rule


def _zeros(call: Call) -> str:
    return call.add("ConstantOfShape", call.build.ints(call.shape()), value=np.zeros(1, call.build.dtype(call.y[0])))


def _from_zero(call: Call, indices: str, length: int) -> str:
    """Negative indices count from the end; a scatter that adds takes them, but only within its kernel's own limits."""
    below = call.add("Less", indices, call.build.constant(np.asarray(0, call.build.dtype(indices))))
    turned = call.add("Add", indices, call.build.constant(np.asarray(length, call.build.dtype(indices))))
    return call.add("Where", below, turned, indices)


@rule("Gather")
def gather(call: Call) -> Sequence[str]:
    build, shape = call.build, call.shape()
    axis = int(call.attribute("axis", 0)) % len(shape)
    picked = build.shape(call.x[1])
    count = int(np.prod(picked))
    indices = call.add("Reshape", _from_zero(call, call.x[1], shape[axis]), build.ints((count,)))
    indices = call.add("Cast", indices, to=7)
    dy = build.reshape(call.dy[0], (*shape[:axis], count, *shape[axis + 1 :]))
    if axis == 0:
        rows = call.add("Unsqueeze", indices, build.ints((-1,)))
        return [call.add("ScatterND", _zeros(call), rows, dy, reduction="add"), ""]
    wide = call.add("Reshape", indices, build.ints([count if i == axis else 1 for i in range(len(shape))]))
    places = call.add("Expand", wide, build.ints(build.shape(dy)))
    return [call.add("ScatterElements", _zeros(call), places, dy, axis=axis, reduction="add"), ""]


@rule("GatherElements")
def gather_elements(call: Call) -> Sequence[str]:
    axis = int(call.attribute("axis", 0)) % len(call.shape())
    indices = _from_zero(call, call.x[1], call.shape()[axis])
    return [call.add("ScatterElements", _zeros(call), indices, call.dy[0], axis=axis, reduction="add"), ""]
