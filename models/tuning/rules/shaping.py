"""What moves numbers without changing them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.tuning.graph import listed
from models.tuning.rules import Call, NoRule, rule


@rule("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(call: Call) -> Sequence[str]:
    return [call.build.reshape(call.dy[0], call.shape())]


@rule("Transpose")
def transpose(call: Call) -> Sequence[str]:
    rank = len(call.shape())
    order = call.attribute("perm") or list(range(rank))[::-1]
    return [call.add("Transpose", call.dy[0], perm=[int(one) for one in np.argsort(order)])]


@rule("Concat")
def concat(call: Call) -> Sequence[str]:
    axis = int(call.attribute("axis")) % len(call.out_shape)
    lengths = [call.build.shape(name)[axis] for name in call.x]
    parts = call.build.several("Split", call.dy[0], call.build.ints(lengths), outs=len(lengths), axis=axis)
    return [part if wanted else "" for part, wanted in zip(parts, call.wanted, strict=True)]


@rule("Split")
def split(call: Call) -> Sequence[str]:
    build = call.build
    axis = int(call.attribute("axis", 0)) % len(call.shape())
    parts = []
    for name, dy in zip(call.y, call.dy, strict=True):
        zeros = np.zeros(build.shape(name), build.dtype(name))
        parts.append(dy or build.constant(zeros))
    return [call.add("Concat", *parts, axis=axis) if len(parts) > 1 else parts[0]]


@rule("Slice")
def slice_(call: Call) -> Sequence[str]:
    """Zeros around what was taken, and between it where it was taken in steps."""
    build, shape = call.build, call.shape()
    starts, ends = call.value(1), call.value(2)
    if starts is None or ends is None:
        raise NoRule("where it begins is not constant")
    axes = [one % len(shape) for one in listed(call.value(3))] if call.has(3) else list(range(starts.size))
    steps = listed(call.value(4)) if call.has(4) else [1] * starts.size
    taken = [slice(None)] * len(shape)
    for axis, start, end, step in zip(axes, listed(starts), listed(ends), steps, strict=True):
        taken[axis] = slice(start, end if end > -(2**31) else None, step)
    if all(step == 1 for step in steps):
        bounds = [one.indices(length) for one, length in zip(taken, shape, strict=True)]
        pads = [start for start, _, _ in bounds]
        pads += [length - max(end, start) for (start, end, _), length in zip(bounds, shape, strict=True)]
        return [call.add("Pad", call.dy[0], build.ints(pads), call.number(0.0))]
    count = int(np.prod(shape))
    places = np.arange(count, dtype=np.int64).reshape(shape)[tuple(taken)].reshape(-1)
    zeros = build.constant(np.zeros(count, build.dtype(call.y[0])))
    spread = call.add(
        "ScatterElements", zeros, build.constant(places), build.reshape(call.dy[0], (places.size,)), axis=0
    )
    return [call.add("Reshape", spread, build.ints(shape))]


@rule("Expand")
def expand(call: Call) -> Sequence[str]:
    return [call.match(call.dy[0], 0), ""]


@rule("Tile")
def tile(call: Call) -> Sequence[str]:
    repeats = call.value(1)
    if repeats is None:
        raise NoRule("how often it repeats is not constant")
    apart = [one for pair in zip(listed(repeats), call.shape(), strict=True) for one in pair]
    summed = call.build.sum_over(call.build.reshape(call.dy[0], apart), range(0, len(apart), 2))
    return [summed, ""]


@rule("Pad")
def pad(call: Call) -> Sequence[str]:
    build, shape = call.build, call.shape()
    pads = call.value(1)
    if call.attribute("mode", "constant") != "constant" or pads is None or call.has(3):
        raise NoRule("it does not pad every axis by a constant")
    before, after = listed(pads)[: len(shape)], listed(pads)[len(shape) :]
    if min(*before, *after) < 0:  # which cuts, and pads on the way back
        back = [-one for one in (*before, *after)]
        return [call.add("Pad", call.dy[0], build.ints(back), call.number(0.0))]
    ends = [start + length for start, length in zip(before, shape, strict=True)]
    return [call.add("Slice", call.dy[0], build.ints(before), build.ints(ends))]


@rule("DepthToSpace")
def depth_to_space(call: Call) -> Sequence[str]:
    """Its transpose, spelt out, since SpaceToDepth knows only one of the two orders."""
    n, channels, high, wide = call.shape()
    size = int(call.attribute("blocksize"))
    inner = channels // size**2
    apart = call.build.reshape(call.dy[0], (n, inner, high, size, wide, size))
    order = [0, 3, 5, 1, 2, 4] if call.attribute("mode", "DCR") == "DCR" else [0, 1, 3, 5, 2, 4]
    return [call.add("Reshape", call.add("Transpose", apart, perm=order), call.build.ints(call.shape()))]


@rule("SpaceToDepth")
def space_to_depth(call: Call) -> Sequence[str]:
    return [call.add("DepthToSpace", call.dy[0], blocksize=int(call.attribute("blocksize")), mode="DCR")]
