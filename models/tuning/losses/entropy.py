"""Cross-entropy: of classes, and of the tokens that follow."""

from __future__ import annotations

import numpy as np

from models.errors import LossUnfit
from models.tuning.graph import Builder, Node, Shape, Spec
from models.tuning.losses import LABELS, Losses, add_labels

_LEAST = 1.2e-38


def attach(build: Builder, kind: str) -> Losses:
    output = build.graph.outputs[0]
    logits = _before_softmax(build, output)
    shape = build.shape(logits)
    rank = 2 if kind == "classification" else 3
    batch = next(iter(build.graph.inputs.values()))[0][0]
    if kind == "classification" and len(shape) > rank and all(one == 1 for one in shape[rank:]):
        logits = build.reshape(logits, shape[:rank])
        shape = shape[:rank]
    if len(shape) != rank or shape[0] != batch or shape[-1] < 2:
        raise LossUnfit(loss=kind, detail=f"the output {output!r} is {'x'.join(map(str, shape))}, for {batch} examples")
    return cross_entropy(build, logits, shape)


def _before_softmax(build: Builder, output: str) -> str:
    """A network that ends with probabilities is trained on what stands before them: it is the same, and exact."""
    made = build.graph.producers().get(output)
    if made is not None and made.op in ("Softmax", "LogSoftmax") and _last(made, len(build.shape(output))):
        return made.inputs[0]
    return output


def _last(node: Node, rank: int) -> bool:
    return int(node.attributes.get("axis", -1)) % rank == rank - 1


def cross_entropy(build: Builder, logits: str, shape: Shape) -> Losses:
    """Mean of -log softmax over all places whose label is not negative: those do not count."""
    rows, classes = int(np.prod(shape[:-1])), shape[-1]
    targets = add_labels(build, Spec(shape[:-1], np.dtype(np.int64)))
    flat = build.reshape(logits, (rows, classes))
    labels = build.reshape(LABELS, (rows,))
    zero = build.constant(np.asarray(0, np.int64))
    counts = build.cast(build.add("GreaterOrEqual", labels, zero), logits)
    safe = build.add("Unsqueeze", build.add("Max", labels, zero), build.ints((1,)))
    total = build.add("Max", build.add("ReduceSum", counts, keepdims=0), build.number(1.0, logits))
    share = build.add("Unsqueeze", build.add("Div", counts, total), build.ints((1,)))
    probability = build.add("Softmax", flat, axis=-1)
    chosen = build.add("GatherElements", probability, safe, axis=1)
    # What is too improbable for a number counts as the smallest one: a loss of 87. The gradient is right all the same.
    sure = build.add("Log", build.add("Max", chosen, build.number(_LEAST, logits)))
    summed = build.add("ReduceSum", build.add("Mul", sure, share), keepdims=0)
    loss = build.add("Neg", summed, out=build.fresh("loss"))
    # softmax - one at the label, each row by its share; a pass over the logits costs, so there are few.
    minus = build.add("Expand", build.number(-1.0, logits), build.ints((rows, 1)))
    off = build.add("ScatterElements", probability, safe, minus, axis=1, reduction="add")
    slope = build.note(build.add("Mul", off, share), (rows, classes), logits)
    return Losses(loss, {logits: build.reshape(slope, build.shape(logits))}, targets)
