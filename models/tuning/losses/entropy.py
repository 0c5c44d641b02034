"""Cross-entropy: of classes, and of the tokens that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.errors import LossUnfit
from models.tuning.graph import Builder, Node, Shape, Spec
from models.tuning.losses import LABELS, Losses, add_labels

_LEAST = 1.2e-38
# Of logits at a time, where they come in pieces: about what a processor's cache holds, but never so few rows that going
# through the matrix for them is most of the work.
_PIECE_NUMBERS, _LEAST_ROWS = 1 << 19, 64


def attach(build: Builder, kind: str, batch: int, in_pieces: bool) -> Losses:
    output = build.graph.outputs[0]
    logits = _before_softmax(build, output)
    shape = build.shape(logits)
    rank = 2 if kind == "classification" else 3
    if kind == "classification" and len(shape) > rank and all(one == 1 for one in shape[rank:]):
        logits = build.reshape(logits, shape[:rank])
        shape = shape[:rank]
    if len(shape) != rank or shape[0] != batch or shape[-1] < 2:
        raise LossUnfit(loss=kind, detail=f"the output {output!r} is {'x'.join(map(str, shape))}, for {batch} examples")
    sizes = _pieces(int(np.prod(shape[:-1])), shape[-1])
    head = _frozen_head(build, logits) if in_pieces and len(sizes) > 1 else None
    return cross_entropy(build, logits, shape) if head is None else head_in_pieces(build, head, shape, sizes)


def _pieces(rows: int, classes: int) -> list[int]:
    each = max(_LEAST_ROWS, _PIECE_NUMBERS // classes)
    return [min(each, rows - start) for start in range(0, rows, each)]


def _frozen_head(build: Builder, logits: str) -> tuple[str, str] | None:
    """What logits are the product of, where the second is a matrix that training does not change."""
    made = build.graph.producers().get(logits)
    if made is None or made.op != "MatMul" or len(build.shape(made.inputs[1])) != 2:
        return None
    x, weights = made.inputs
    return (x, weights) if weights not in build.graph.reached_from(build.graph.inputs) else None


def _before_softmax(build: Builder, output: str) -> str:
    """A network that ends with probabilities is trained on what stands before them: it is the same, and exact."""
    made = build.graph.producers().get(output)
    if made is not None and made.op in ("Softmax", "LogSoftmax") and _last(made, len(build.shape(output))):
        return made.inputs[0]
    return output


def _last(node: Node, rank: int) -> bool:
    return int(node.attributes.get("axis", -1)) % rank == rank - 1


@dataclass(frozen=True)
class _Wanted:
    """Of each row: share: of the mean, 0 where its label does not count. label: of those the classes, else 0. Both of
    rows x 1."""

    share: str
    label: str
    targets: dict[str, Spec]


def _wanted(build: Builder, shape: Shape, like: str) -> _Wanted:
    rows = int(np.prod(shape[:-1]))
    targets = add_labels(build, Spec(shape[:-1], np.dtype(np.int64)))
    labels = build.reshape(LABELS, (rows,))
    zero = build.constant(np.asarray(0, np.int64))
    counts = build.cast(build.add("GreaterOrEqual", labels, zero), like)
    label = build.add("Unsqueeze", build.add("Max", labels, zero), build.ints((1,)))
    total = build.add("Max", build.add("ReduceSum", counts, keepdims=0), build.number(1.0, like))
    share = build.add("Unsqueeze", build.add("Div", counts, total), build.ints((1,)))
    return _Wanted(share, label, targets)


def cross_entropy(build: Builder, logits: str, shape: Shape) -> Losses:
    """Mean of -log softmax over all places whose label is not negative: those do not count."""
    rows, classes = int(np.prod(shape[:-1])), shape[-1]
    wanted = _wanted(build, shape, logits)
    flat = build.reshape(logits, (rows, classes))
    part, slope = _of_rows(build, flat, (wanted.share, wanted.label), (rows, classes))
    loss = build.add("Neg", part, out=build.fresh("loss"))
    seed = build.reshape(slope, build.shape(logits))
    return Losses(loss, {logits: seed}, wanted.targets, frozenset({seed}))


def head_in_pieces(build: Builder, head: tuple[str, str], shape: Shape, sizes: Sequence[int]) -> Losses:
    """The same, with the last product and its way back a few rows at a time: logits of all rows together are larger
    than all else where there are many words. head: rows and matrix of the product."""
    x, weights = head
    classes, width = shape[-1], build.shape(x)[-1]
    wanted = _wanted(build, shape, x)
    flat = build.reshape(x, (sum(sizes), width))
    rows, shares, labels = (
        build.several("Split", one, build.ints(sizes), outs=len(sizes), axis=0)
        for one in (flat, wanted.share, wanted.label)
    )
    parts, slopes, back = [], [], []
    for row, share, label, size in zip(rows, shares, labels, sizes, strict=True):
        build.note(row, (size, width), x)
        logits = build.note(build.add("MatMul", row, weights), (size, classes), x)
        part, slope = _of_rows(build, logits, (share, label), (size, classes))
        parts.append(part)
        slopes.append(slope)
        back.append(build.note(build.add("Gemm", slope, weights, transB=1), (size, width), x))
    loss = build.add("Neg", build.add("Sum", *parts), out=build.fresh("loss"))
    together = build.note(build.add("Concat", *back, axis=0), (sum(sizes), width), x)
    return Losses(loss, {x: build.reshape(together, build.shape(x))}, wanted.targets, frozenset(slopes))


def _of_rows(build: Builder, logits: str, wanted: tuple[str, str], shape: tuple[int, int]) -> tuple[str, str]:
    """The mean's part of these rows, and its gradient by their logits. wanted: share and label of each."""
    (share, label), (rows, classes) = wanted, shape
    probability = build.add("Softmax", logits, axis=-1)
    chosen = build.add("GatherElements", probability, label, axis=1)
    # What is too improbable for a number counts as the smallest one: a loss of 87. The gradient is right all the same.
    sure = build.add("Log", build.add("Max", chosen, build.number(_LEAST, logits)))
    part = build.add("ReduceSum", build.add("Mul", sure, share), keepdims=0)
    # softmax - one at the label, each row by its share; a pass over the logits costs, so there are few.
    minus = build.add("Expand", build.number(-1.0, logits), build.ints((rows, 1)))
    off = build.add("ScatterElements", probability, label, minus, axis=1, reduction="add")
    return part, build.note(build.add("Mul", off, share), (rows, classes), logits)
