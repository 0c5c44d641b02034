"""The loss of detectors of the layout yolox (models.vision.layouts.yolox), on cells that models.tuning.data.assignment
chose beforehand.

Objectness and classes: binary cross-entropy. A class is wanted as much as the cell's box covers the true one (YOLOX, Ge
and others 2021, arXiv 2107.08430, section 2.3), so that a score tells how good a box is. Boxes: 1 - GIoU (Rezatofighi
and others 2019, arXiv 1902.09630). All is a sum over cells, by the number of assigned ones (or of pictures, if that is
more).
"""

from __future__ import annotations

import numpy as np

from models.errors import LossUnfit
from models.tuning.graph import Builder, Shape, Spec
from models.tuning.losses import LABELS, Boxes, Losses, add_labels
from models.tuning.rules import broadcast_shapes
from models.vision.grid import cells
from models.vision.layouts.yolox import LARGEST_LOG, STRIDES

BOX_WEIGHT = 5.0
# As little of a class is wanted where the box is still wrong altogether.
LEAST_COVER = 0.3
# Below it a probability's logarithm is not told apart; p (1 - p) is never divided by less.
_LEAST, _LEAST_REST = 1.2e-38, 6e-8
_LEAST_AREA_PX = 1e-6


def row_length(classes: int) -> int:
    """Of what is wanted of one cell: its box (left, top, right, bottom in pixels), objectness and each class (0 or 1),
    and how much each of the latter counts. All zero: the cell does not count."""
    return 4 + 2 * (1 + classes)


def attach(build: Builder, picture: Shape, boxes: Boxes) -> Losses:
    """picture: batch x channels x height x width."""
    output = build.graph.outputs[0]
    shape = build.shape(output)
    if len(picture) != 4 or len(shape) != 3 or picture[0] != shape[0]:
        raise LossUnfit(loss="detection", detail=f"the output {output!r} is {'x'.join(map(str, shape))}")
    grid = cells(picture[3], picture[2], STRIDES)
    if shape[1:] != (len(grid), 5 + len(boxes.labelled)):
        detail = f"the output {output!r} is {shape}, not {(picture[0], len(grid), 5 + len(boxes.labelled))}"
        raise LossUnfit(loss="detection", detail=detail)
    batch, rows, _ = shape
    classes = len(boxes.labelled)
    targets = add_labels(build, Spec((batch, rows, row_length(classes)), np.dtype(np.float32)))
    noted = _Noted(build, output)
    goal = noted.part(LABELS, 4, 5 + classes)
    weight = noted.part(LABELS, 5 + classes, row_length(classes))
    assigned = noted.part(goal, 0, 1)
    pictures = noted.sum(noted.largest(noted.part(weight, 0, 1), 1))
    total = noted("Max", noted.sum(assigned), noted("Max", pictures, noted.number(1.0)))
    overlap, hull = _overlaps(noted, output, grid, boxes.decoded)
    # GIoU is overlap - (hull - union) / hull, here as overlap + union / hull - 1.
    lost = noted("Sub", noted.number(2.0), noted("Add", overlap, hull))
    factor = noted("Div", noted.number(BOX_WEIGHT), total)
    box_loss = noted.sum(noted("Mul", noted("Mul", lost, assigned), factor))
    scores = noted.part(output, 4, 5 + classes)
    if not all(boxes.labelled):
        weight = _forgiven(noted, scores, weight, assigned, boxes.labelled)
    cover = noted("Max", overlap, noted.number(LEAST_COVER))
    goal = noted.joined(assigned, noted("Mul", noted.part(goal, 1, 1 + classes), cover))
    share = noted("Div", weight, total)
    score_loss, slope = _binary_entropy(noted, scores, goal, share)
    loss = build.note(build.add("Add", box_loss, score_loss, out=build.fresh("loss")), (), output)
    return Losses(loss, {scores: slope, box_loss: noted.number(1.0)}, targets, frozenset({slope}))


def _overlaps(noted: _Noted, output: str, grid: np.ndarray, decoded: bool) -> tuple[str, str]:
    """Of each cell's box with the one that is wanted: intersection over union, and union over the smallest box that
    holds both."""
    build = noted.build
    middles, sizes = noted.part(output, 0, 2), noted.part(output, 2, 4)
    if not decoded:
        stride = build.constant(grid[:, 2:], noted.dtype)
        middles = noted("Mul", noted("Add", middles, build.constant(grid[:, :2], noted.dtype)), stride)
        bounded = noted("Min", sizes, noted.number(LARGEST_LOG))
        sizes = noted("Mul", noted("Exp", bounded), stride)
    half = noted("Mul", sizes, noted.number(0.5))
    low, high = noted("Sub", middles, half), noted("Add", middles, half)
    goal_low, goal_high = noted.part(LABELS, 0, 2), noted.part(LABELS, 2, 4)

    def area(sides: str) -> str:
        return noted("Mul", noted.part(sides, 0, 1), noted.part(sides, 1, 2))

    shared = noted("Sub", noted("Min", high, goal_high), noted("Max", low, goal_low))
    inner = area(noted("Max", shared, noted.number(0.0)))
    both = noted("Add", area(noted("Sub", high, low)), area(noted("Sub", goal_high, goal_low)))
    least = noted.number(_LEAST_AREA_PX)
    union = noted("Max", noted("Sub", both, inner), least)
    hull = area(noted("Sub", noted("Max", high, goal_high), noted("Min", low, goal_low)))
    return noted("Div", inner, union), noted("Div", union, noted("Max", hull, least))


def _forgiven(noted: _Noted, scores: str, weight: str, assigned: str, labelled: tuple[bool, ...]) -> str:
    """Where the network finds something of a class that the data does not label, it may well be there: such a cell's
    objectness does not count, unless the cell is assigned."""
    build, classes = noted.build, noted.part(scores, 1, 1 + len(labelled))
    known = np.asarray(labelled)
    ours = noted.largest(noted("Mul", classes, build.constant(known, noted.dtype)), 2)
    others = noted.largest(noted("Mul", classes, build.constant(~known, noted.dtype)), 2)
    as_ours = build.note(build.cast(build.add("GreaterOrEqual", ours, others), scores), build.shape(ours), scores)
    counts = noted("Mul", noted.part(weight, 0, 1), noted("Max", as_ours, assigned))
    return noted.joined(counts, noted.part(weight, 1, 1 + len(labelled)))


def _binary_entropy(noted: _Noted, scores: str, goal: str, share: str) -> tuple[str, str]:
    """The loss, and its gradient by the probabilities `scores`. The sigmoid that made them takes its p (1 - p) away
    again on the way back, which leaves p - goal."""
    one = noted.number(1.0)
    rest = noted("Sub", one, scores)
    yes = noted("Log", noted("Max", scores, noted.number(_LEAST)))
    no = noted("Log", noted("Max", rest, noted.number(_LEAST_REST)))
    gained = noted("Add", noted("Mul", goal, yes), noted("Mul", noted("Sub", one, goal), no))
    loss = noted("Neg", noted.sum(noted("Mul", gained, share)))
    off = noted("Mul", noted("Sub", scores, goal), share)
    return loss, noted("Div", off, noted("Max", noted("Mul", scores, rest), noted.number(_LEAST)))


class _Noted:
    """Adds nodes of one kind of number and notes their shapes, which the way back asks for."""

    def __init__(self, build: Builder, like: str) -> None:
        self.build, self._like = build, like
        self.dtype = build.dtype(like)

    def __call__(self, op: str, *inputs: str) -> str:
        shapes = [self.build.shape(one) for one in inputs]
        return self.build.note(self.build.add(op, *inputs), broadcast_shapes(*shapes), self._like)

    def number(self, value: float) -> str:
        return self.build.number(value, self._like)

    def part(self, name: str, start: int, end: int) -> str:
        """Of the last axis."""
        build, shape = self.build, self.build.shape(name)
        made = build.add("Slice", name, build.ints((start,)), build.ints((end,)), build.ints((len(shape) - 1,)))
        return build.note(made, (*shape[:-1], end - start), self._like)

    def joined(self, *parts: str) -> str:
        shapes = [self.build.shape(one) for one in parts]
        made = self.build.add("Concat", *parts, axis=-1)
        return self.build.note(made, (*shapes[0][:-1], sum(one[-1] for one in shapes)), self._like)

    def sum(self, name: str) -> str:
        return self.build.note(self.build.add("ReduceSum", name, keepdims=0), (), self._like)

    def largest(self, name: str, axis: int) -> str:
        build, shape = self.build, list(self.build.shape(name))
        shape[axis] = 1
        if build.graph.opset < 18:
            made = build.add("ReduceMax", name, axes=[axis], keepdims=1)
        else:
            made = build.add("ReduceMax", name, build.ints((axis,)), keepdims=1)
        return build.note(made, shape, self._like)
