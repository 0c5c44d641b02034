"""Pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from models.tuning.rules import Call, NoRule, rule
from models.tuning.rules.convolution import Geometry, geometry, through_constant, through_transpose


@rule("GlobalAveragePool")
def global_average_pool(call: Call) -> Sequence[str]:
    count = math.prod(call.shape()[2:])
    return [call.build.note(call.add("Mul", call.dy[0], call.number(1.0 / count)), call.out_shape, call.y[0])]


@rule("GlobalMaxPool")
def global_max_pool(call: Call) -> Sequence[str]:
    axes, build = range(2, len(call.shape())), call.build
    mask = build.cast(call.add("Equal", call.x[0], call.y[0]), call.y[0])
    return [call.add("Mul", mask, call.add("Div", call.dy[0], build.sum_over(mask, axes, keep=True)))]


@rule("MaxPool")
def max_pool(call: Call) -> Sequence[str]:
    """To the place that gave the maximum, which the operator tells by its second output (counted over all)."""
    if call.attribute("storage_order", 0):
        raise NoRule("it counts by columns")
    build = call.build
    if len(call.node.outputs) < 2 or not call.node.outputs[1]:
        call.node.outputs[1:] = [build.fresh("places")]
    count, given = math.prod(call.shape()), math.prod(call.out_shape)
    places = call.add("Reshape", call.node.outputs[1], build.ints((given,)))
    zeros = call.add("ConstantOfShape", build.ints((count,)), value=np.zeros(1, build.dtype(call.y[0])))
    spread = call.add("ScatterElements", zeros, places, build.reshape(call.dy[0], (given,)), axis=0, reduction="add")
    return [call.add("Reshape", spread, build.ints(call.shape()))]


@rule("AveragePool")
def average_pool(call: Call) -> Sequence[str]:
    """A depthwise convolution by equal weights; at the border each window counts what lies within the picture."""
    kernel = call.attribute("kernel_shape")
    plain = geometry(call, kernel, call.shape(), call.out_shape)
    channels, build, dtype = call.shape()[1], call.build, call.build.dtype(call.y[0])
    if call.attribute("ceil_mode", 0) and _overhangs(call, plain):
        raise NoRule("its last window hangs over the edge (ceil_mode)")
    form = Geometry(plain.kernel, plain.stride, plain.dilation, plain.before, plain.after, channels)
    weight = np.ones((channels, 1, *form.kernel), dtype)
    counts = np.full(call.out_shape[2:], math.prod(form.kernel), dtype)
    if any(form.pads) and not call.attribute("count_include_pad", 0):
        counts = _inside(call, form).astype(dtype)
    dy = call.add("Mul", call.dy[0], build.constant((1.0 / counts).astype(dtype)))
    if form.dilation == (1, 1) and form.stride[0] == form.stride[1]:
        return [through_constant(call, form, weight, dy)]
    return [through_transpose(call, form, build.constant(weight), dy)]


def _overhangs(call: Call, form: Geometry) -> bool:
    return any(
        (y - 1) * s + (k - 1) * d + 1 > x + before + after
        for x, y, s, k, d, before, after in zip(
            call.shape()[2:], call.out_shape[2:], form.stride, form.kernel, form.dilation, form.before, form.after,
            strict=True,
        )
    )  # fmt: skip


def _inside(call: Call, form: Geometry) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """How many places of each window lie within the picture."""
    lines = []
    for x, y, s, k, d, before in zip(
        call.shape()[2:], call.out_shape[2:], form.stride, form.kernel, form.dilation, form.before, strict=True
    ):
        places = np.arange(y)[:, None] * s - before + np.arange(k)[None] * d
        lines.append(((places >= 0) & (places < x)).sum(1))
    return np.outer(*lines)
