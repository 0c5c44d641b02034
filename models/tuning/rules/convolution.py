"""Convolutions. Back through frozen weights leads a convolution with other constant weights, which onnxruntime lays out
as fast as any; one with a stride becomes one for each phase of the stride. Trained weights take ConvTranspose.

The gradient of the weights: 1 x 1 is a matrix product, dense k x k is a convolution of the input by the gradient (the
batch in the place of channels), depthwise and grouped are k x k products of shifted inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.tuning.graph import Array, Shape
from models.tuning.rules import Call, NoRule, rule

# With a larger map the products of ConvTranspose win over the many small convolutions of phases.
PHASES_UP_TO = 48


@dataclass(frozen=True)
class Geometry:
    """Of a two-dimensional convolution. before, after: padding at the beginning and the end of each axis."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]
    groups: int

    @property
    def pads(self) -> list[int]:
        return [*self.before, *self.after]

    @property
    def is_pointwise(self) -> bool:
        return self.kernel == (1, 1) and self.stride == (1, 1) and not any(self.pads)


def pair(values: Sequence[int]) -> tuple[int, int]:
    first, second = values
    return int(first), int(second)


def geometry(call: Call, kernel: Sequence[int], x: Shape, y: Shape) -> Geometry:
    if len(x) != 4:
        raise NoRule(f"it has {len(x) - 2} spatial axes, and only two have a rule")
    stride = pair(call.attribute("strides", (1, 1)))
    dilation = pair(call.attribute("dilations", (1, 1)))
    pads = list(call.attribute("pads", (0, 0, 0, 0)))
    auto = call.attribute("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pads = [0, 0, 0, 0]
        for axis in range(2):
            reach = (kernel[axis] - 1) * dilation[axis] + 1
            whole = max((y[2 + axis] - 1) * stride[axis] + reach - x[2 + axis], 0)
            small, large = whole // 2, whole - whole // 2
            pads[axis], pads[2 + axis] = (small, large) if auto == "SAME_UPPER" else (large, small)
    return Geometry(pair(kernel), stride, dilation, pair(pads[:2]), pair(pads[2:]), int(call.attribute("group", 1)))


@rule("Conv")
def conv(call: Call) -> Sequence[str]:
    dy = call.dy[0]
    form = geometry(call, call.shape(1)[2:], call.shape(), call.out_shape)
    results = ["", "", ""]
    if call.wanted[0]:
        results[0] = input_gradient(call, form, dy)
    if call.wanted[1]:
        results[1] = weight_gradient(call, form, dy)
    if call.has(2) and call.wanted[2]:
        results[2] = call.build.sum_over(dy, (0, 2, 3))
    return results


def input_gradient(call: Call, form: Geometry, dy: str) -> str:
    weight = call.value(1)
    if weight is not None and form.dilation == (1, 1):
        dense_stride = form.stride != (1, 1) and form.groups == 1
        if not dense_stride and (form.stride == (1, 1) or max(call.shape()[2:]) <= PHASES_UP_TO):
            return through_constant(call, form, weight, dy)
    if weight is None and form.is_pointwise and form.groups == 1:
        turned = call.add("Transpose", call.x[1], perm=[1, 0, 2, 3])
        return call.add("Conv", dy, turned)
    return through_transpose(call, form, call.x[1], dy)


def through_transpose(call: Call, form: Geometry, weight: str, dy: str) -> str:
    x, y = call.shape(), call.out_shape
    missing = [
        x[2 + axis]
        - ((y[2 + axis] - 1) * form.stride[axis] + (form.kernel[axis] - 1) * form.dilation[axis] + 1)
        + form.before[axis] + form.after[axis]
        for axis in range(2)
    ]  # fmt: skip
    return call.add(
        "ConvTranspose", dy, weight, group=form.groups, strides=list(form.stride), dilations=list(form.dilation),
        pads=form.pads, kernel_shape=list(form.kernel), output_padding=missing,
    )  # fmt: skip


def backward_weights(weight: Array, groups: int) -> Array:
    """(outputs, inputs / groups, k, k) to (inputs, outputs / groups, k, k), flipped: what leads a gradient back."""
    outputs, inner, high, wide = weight.shape
    split = weight.reshape(groups, outputs // groups, inner, high, wide).swapaxes(1, 2)
    return np.ascontiguousarray(split.reshape(groups * inner, outputs // groups, high, wide)[:, :, ::-1, ::-1])


def through_constant(call: Call, form: Geometry, weight: Array, dy: str) -> str:
    """x[i] gets dy[o] w[k] where i = o s + k - p. For i = s j + r - p that is k = r + s m and o = j - m: for each phase
    r a convolution of stride 1 by every s-th weight; the phases are interleaved and the padding is cut off."""
    build, (high, wide) = call.build, call.shape()[2:]
    steps = tuple(
        -(-(size + before) // s) for size, before, s in zip((high, wide), form.before, form.stride, strict=True)
    )
    phases = [
        _phase(call, form, (weight, dy), (row, column), pair(steps))
        for row in range(form.stride[0])
        for column in range(form.stride[1])
    ]
    whole = (steps[0] * form.stride[0], steps[1] * form.stride[1])
    if len(phases) == 1:
        return phases[0]
    if form.stride[0] == form.stride[1]:
        joined = call.add("DepthToSpace", call.add("Concat", *phases, axis=1), blocksize=form.stride[0], mode="DCR")
    else:
        raise NoRule("its strides differ")
    if whole == (high, wide) and form.before == (0, 0):
        return joined
    ends = [form.before[0] + high, form.before[1] + wide]
    return call.add("Slice", joined, build.ints(form.before), build.ints(ends), build.ints((2, 3)))


def _phase(call: Call, form: Geometry, given: tuple[Array, str], phase: tuple[int, int], steps: tuple[int, int]) -> str:
    """The gradient at every s-th place of the padded input, of `steps` rows and columns."""
    weight, dy = given
    (row, column), stride, (_, _, rows, columns) = phase, form.stride, call.out_shape
    single = form.stride == (1, 1)
    part = weight[:, :, row :: stride[0], column :: stride[1]]
    if part.size == 0:
        part = np.zeros((*weight.shape[:2], 1, 1), weight.dtype)
    turned = call.build.constant(backward_weights(part, form.groups))
    high, wide = part.shape[2:]
    before, after = [high - 1, wide - 1], [steps[0] - rows, steps[1] - columns]
    if single:
        # Cut the padding here, rather than computing it and cutting it afterwards.
        before = [high - 1 - form.before[0], wide - 1 - form.before[1]]
        after = [call.shape()[2] - rows + high - 1 - before[0], call.shape()[3] - columns + wide - 1 - before[1]]
    cut = [max(-one, 0) for one in (*before, *after)]
    if any(cut):
        starts, ends = cut[:2], [rows - cut[2], columns - cut[3]]
        dy = call.add("Slice", dy, call.build.ints(starts), call.build.ints(ends), call.build.ints((2, 3)))
    pads = [max(one, 0) for one in (*before, *after)]
    return call.add("Conv", dy, turned, group=form.groups, pads=pads, kernel_shape=[high, wide])


def weight_gradient(call: Call, form: Geometry, dy: str) -> str:
    if form.is_pointwise and form.groups == 1:
        return _pointwise(call, dy)
    if form.groups == 1:
        return _dense(call, form, dy)
    return _grouped(call, form, dy)


def _pointwise(call: Call, dy: str) -> str:
    """Sum over pictures of dy (outputs x places) by x transposed (places x inputs)."""
    build, (batch, inputs, high, wide), (outputs, *_) = call.build, call.shape(), call.shape(1)
    if batch == 1:
        left, right = build.reshape(dy, (outputs, high * wide)), build.reshape(call.x[0], (inputs, high * wide))
        product = build.note(call.add("Gemm", left, right, transB=1), (outputs, inputs), call.x[1])
    else:
        left = build.reshape(dy, (batch, outputs, high * wide))
        right = build.reshape(call.x[0], (batch, inputs, high * wide))
        each = call.add("MatMul", left, call.add("Transpose", right, perm=[0, 2, 1]))
        product = build.note(build.sum_over(each, (0,)), (outputs, inputs), call.x[1])
    return build.reshape(product, call.shape(1))


def _dense(call: Call, form: Geometry, dy: str) -> str:
    turned = call.add("Transpose", call.x[0], perm=[1, 0, 2, 3])
    by = call.add("Transpose", dy, perm=[1, 0, 2, 3])
    wide = call.add(
        "Conv", turned, by, strides=list(form.dilation), dilations=list(form.stride), pads=form.pads,
        kernel_shape=list(call.out_shape[2:]),
    )  # fmt: skip
    build = call.build
    exact = all(
        (y - 1) * s + (k - 1) * d + 1 == x + before + after
        for x, y, k, s, d, before, after in zip(
            call.shape()[2:], call.out_shape[2:], form.kernel, form.stride, form.dilation, form.before, form.after,
            strict=True,
        )
    )  # fmt: skip
    if not exact:  # rows that the stride never reached
        wide = call.add("Slice", wide, build.ints((0, 0)), build.ints(form.kernel), build.ints((2, 3)))
    return call.add("Transpose", wide, perm=[1, 0, 2, 3])


def _grouped(call: Call, form: Geometry, dy: str) -> str:
    build, (batch, inputs, *_), (_, outputs, high, wide) = call.build, call.shape(), call.out_shape
    groups, places = form.groups, high * wide
    depthwise = inputs == groups == outputs
    padded = call.x[0]
    if any(form.pads):
        pads = [0, 0, *form.before, 0, 0, *form.after]
        padded = call.add("Pad", padded, build.ints(pads), build.number(0.0, call.x[0]))
    if not depthwise:
        left = build.reshape(dy, (batch, groups, outputs // groups, places))
    taps = []
    for row in range(form.kernel[0]):
        for column in range(form.kernel[1]):
            starts = (row * form.dilation[0], column * form.dilation[1])
            ends = [s + (n - 1) * step + 1 for s, n, step in zip(starts, (high, wide), form.stride, strict=True)]
            tap = call.add(
                "Slice", padded, build.ints(starts), build.ints(ends), build.ints((2, 3)), build.ints(form.stride)
            )
            if depthwise:
                taps.append(build.sum_over(call.add("Mul", tap, dy), (0, 2, 3)))
                continue
            right = call.add("Reshape", tap, build.ints((batch, groups, inputs // groups, places)))
            each = call.add("MatMul", left, call.add("Transpose", right, perm=[0, 1, 3, 2]))
            taps.append(call.add("Reshape", build.sum_over(each, (0,)), build.ints((outputs, inputs // groups))))
    columns = [call.add("Unsqueeze", tap, build.ints((-1,))) for tap in taps]
    return call.add("Reshape", call.add("Concat", *columns, axis=-1), build.ints(call.shape(1)))


@rule("ConvTranspose")
def conv_transpose(call: Call) -> Sequence[str]:
    """The mirror of a convolution: back leads the convolution that it is the transpose of."""
    dy, shape = call.dy[0], call.shape(1)
    form = geometry(call, shape[2:], call.out_shape, call.shape())
    if call.attribute("auto_pad", "NOTSET") != "NOTSET" or call.attribute("output_shape"):
        raise NoRule("its padding is not given in figures")
    results = ["", "", ""]
    # Its output may be longer than the windows reach: those places give nothing back.
    settings = {
        "group": form.groups, "strides": list(form.stride), "dilations": list(form.dilation), "pads": form.pads,
        "kernel_shape": list(form.kernel),
    }  # fmt: skip
    build = call.build
    if call.wanted[0]:
        back = call.add("Conv", dy, call.x[1], **settings)
        extra = call.attribute("output_padding", (0, 0))
        if any(extra):
            back = call.add("Slice", back, build.ints((0, 0)), build.ints(call.shape()[2:]), build.ints((2, 3)))
        results[0] = back
    if call.wanted[1]:
        if form.groups != 1:
            raise NoRule("its weights can't be trained: it has groups")
        turned = call.add("Transpose", dy, perm=[1, 0, 2, 3])
        by = call.add("Transpose", call.x[0], perm=[1, 0, 2, 3])
        wide = call.add(
            "Conv", turned, by, strides=list(form.dilation), dilations=list(form.stride), pads=form.pads,
            kernel_shape=list(call.shape()[2:]),
        )  # fmt: skip
        cut = call.add("Slice", wide, build.ints((0, 0)), build.ints(form.kernel), build.ints((2, 3)))
        results[1] = call.add("Transpose", cut, perm=[1, 0, 2, 3])
    if call.has(2) and call.wanted[2]:
        results[2] = build.sum_over(dy, (0, 2, 3))
    return results
