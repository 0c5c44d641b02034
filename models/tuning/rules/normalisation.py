"""Normalisation. Batch normalisation keeps the statistics that it has learnt: on a device batches are too small for
new ones, so its way back is that of a fixed scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.tuning.graph import Shape
from models.tuning.rules import Call, NoRule, rule


def _mean(call: Call, name: str, axes: Sequence[int], shape: Shape) -> str:
    count = math.prod(shape[axis] for axis in axes)
    return call.add("Mul", call.build.sum_over(name, axes, keep=True), call.number(1.0 / count))


def _standardised(call: Call, scaled: str, statistics: tuple[str, str], axes: Sequence[int], shape: Shape) -> str:
    """Back through unit = (x - mean) inverse: inverse (g - mean(g) - unit mean(g unit)). statistics: these two."""
    unit, inverse = statistics
    centred = call.add("Sub", scaled, _mean(call, scaled, axes, shape))
    along = call.add("Mul", unit, _mean(call, call.add("Mul", scaled, unit), axes, shape))
    return call.add("Mul", inverse, call.add("Sub", centred, along))


def _statistics(call: Call, x: str, axes: Sequence[int], shape: Shape, epsilon: float) -> tuple[str, str]:
    """x standardised over `axes`, and one over its deviation."""
    centred = call.add("Sub", x, _mean(call, x, axes, shape))
    variance = _mean(call, call.add("Mul", centred, centred), axes, shape)
    inverse = call.add("Reciprocal", call.add("Sqrt", call.add("Add", variance, call.number(epsilon))))
    return call.add("Mul", centred, inverse), inverse


@rule("BatchNormalization")
def batch_normalization(call: Call) -> Sequence[str]:
    if call.attribute("training_mode", 0):
        raise NoRule("it takes statistics of the batch: export the network for inference")
    x, scale, _, mean, variance = call.x
    if any(call.wanted[3:]):
        raise NoRule("its statistics can't be trained")
    dy, build, channels = call.dy[0], call.build, call.shape(1)[0]
    wide = (1, channels, *[1] * (len(call.shape()) - 2))
    axes = [axis for axis in range(len(wide)) if axis != 1]
    epsilon = build.number(float(call.attribute("epsilon", 1e-5)), variance)
    inverse = build.note(
        call.add("Reciprocal", call.add("Sqrt", call.add("Add", variance, epsilon))), (channels,), variance
    )
    results = [""] * 5
    if call.wanted[0]:
        factor = build.note(call.add("Mul", scale, inverse), (channels,), scale)
        results[0] = call.add("Mul", dy, build.reshape(factor, wide))
    if call.wanted[1]:
        centred = call.add("Sub", x, build.reshape(mean, wide))
        summed = build.sum_over(call.add("Mul", dy, centred), axes)
        results[1] = call.add("Mul", summed, inverse)
    if call.wanted[2]:
        results[2] = build.sum_over(dy, axes)
    return results


@rule("LayerNormalization")
def layer_normalization(call: Call) -> Sequence[str]:
    """Ba, Kiros and Hinton 2016, arXiv 1607.06450."""
    x, scale = call.x[:2]
    shape, dy, build = call.shape(), call.dy[0], call.build
    axes = list(range(int(call.attribute("axis", -1)) % len(shape), len(shape)))
    unit, inverse = _statistics(call, x, axes, shape, float(call.attribute("epsilon", 1e-5)))
    results = ["", "", ""]
    if call.wanted[0]:
        results[0] = _standardised(call, call.add("Mul", dy, scale), (unit, inverse), axes, shape)
    if call.wanted[1]:
        product = build.note(call.add("Mul", dy, unit), shape, x)
        results[1] = call.match(product, 1)
    if call.has(2) and call.wanted[2]:
        results[2] = call.match(dy, 2)
    return results


@rule("InstanceNormalization")
def instance_normalization(call: Call) -> Sequence[str]:
    x, scale, _ = call.x
    shape, dy, build = call.shape(), call.dy[0], call.build
    axes = list(range(2, len(shape)))
    wide = (1, shape[1], *[1] * len(axes))
    unit, inverse = _statistics(call, x, axes, shape, float(call.attribute("epsilon", 1e-5)))
    others = [0, *axes]
    return [
        _standardised(call, call.add("Mul", dy, build.reshape(scale, wide)), (unit, inverse), axes, shape)
        if call.wanted[0]
        else "",
        build.sum_over(call.add("Mul", dy, unit), others) if call.wanted[1] else "",
        build.sum_over(dy, others) if call.wanted[2] else "",
    ]


@rule("SimplifiedLayerNormalization", "RMSNormalization")
def rms_normalization(call: Call) -> Sequence[str]:
    """y = x inverse scale with inverse = 1 / sqrt(mean(x^2) + epsilon) (Zhang and Sennrich 2019, arXiv 1910.07467). The
    operator's last output, where it has one, is the inverse."""
    x, scale = call.x[:2]
    shape, dy, build = call.shape(), call.dy[0], call.build
    axes = list(range(int(call.attribute("axis", -1)) % len(shape), len(shape)))
    inverse = call.y[-1] if len(call.y) > 1 else ""
    if not inverse:
        square = _mean(call, call.add("Mul", x, x), axes, shape)
        epsilon = call.number(float(call.attribute("epsilon", 1e-5)))
        inverse = call.add("Reciprocal", call.add("Sqrt", call.add("Add", square, epsilon)))
    unit = build.note(call.add("Mul", x, inverse), shape, x)
    results = ["", ""]
    if call.wanted[0]:
        scaled = call.add("Mul", dy, scale)
        along = call.add("Mul", unit, _mean(call, call.add("Mul", scaled, unit), axes, shape))
        results[0] = call.add("Mul", inverse, call.add("Sub", scaled, along))
    if call.wanted[1]:
        results[1] = call.match(build.note(call.add("Mul", dy, unit), shape, x), 1)
    return results
