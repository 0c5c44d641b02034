"""What training makes smaller, as nodes after the network's output, with the gradient where the way back begins. One
file for each kind."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.errors import LossUnfit
from models.tuning.graph import Builder, Shape, Spec

LABELS = "labels"


@dataclass(frozen=True)
class Losses:
    """loss: name of the scalar. seeds: gradients of it by tensors. targets: inputs that the loss adds. exact: where the
    way back begins, of few large numbers and many small ones."""

    loss: str
    seeds: dict[str, str]
    targets: dict[str, Spec] = field(default_factory=dict)
    exact: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Boxes:
    """Of a detector. decoded: its boxes are in pixels already. labelled: for each of its classes, whether the data
    labels it; what it finds of others is not held against it."""

    decoded: bool
    labelled: tuple[bool, ...]


def attach(build: Builder, kind: str, given: Shape, boxes: Boxes | None = None, in_pieces: bool = False) -> Losses:
    """given: the shape of the network's input, the batch first. kind: classification (logits batch x classes), language
    (logits batch x places x vocabulary) or detection (the layout yolox, with `boxes`). in_pieces: large logits of a
    frozen head never stand there whole. Raises LossUnfit (KF365) when the network's first output is of another form."""
    from models.tuning.losses import detection, entropy  # noqa: PLC0415 (they take Losses from here)

    if kind == "detection" and boxes is not None:
        return detection.attach(build, given, boxes)
    if kind in ("classification", "language"):
        return entropy.attach(build, kind, given[0], in_pieces)
    raise LossUnfit(loss=kind, detail="it is not known")


def add_labels(build: Builder, spec: Spec) -> dict[str, Spec]:
    """The input that holds what is wanted."""
    build.graph.inputs[LABELS] = (spec.shape, spec.dtype)
    build.graph.specs[LABELS] = spec
    return {LABELS: spec}
