"""What training changes: trained tensors become inputs of the graph, small ones packed into one long vector, so that an
optimizer takes a few operators for all of them and not a few for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.tuning.graph import Array, Builder, Graph, Node, Shape, Spec

PACKED = "packed"
# Larger ones are worth their own operators, and packing would copy them twice a step.
PACKED_UP_TO = 2048


@dataclass(frozen=True)
class Place:
    """Where a trained tensor lies: `count` numbers from `start` on in the vector `holder`, or all of its own holder."""

    tensor: str
    holder: str
    shape: Shape
    start: int
    count: int


def holders(graph: Graph, trained: Sequence[str]) -> tuple[Graph, tuple[Place, ...], dict[str, Array]]:
    """The graph with `trained` as inputs, where each of them lies, and the first values of what holds them."""
    done = graph.copy()
    small = [name for name in trained if done.specs[name].size <= PACKED_UP_TO]
    if len(small) < 2:
        small = []
    places: list[Place] = []
    values: dict[str, Array] = {}
    start = 0
    for name in small:
        spec = done.specs[name]
        places.append(Place(name, PACKED, spec.shape, start, spec.size))
        start += spec.size
    if small:
        values[PACKED] = np.concatenate([done.constants[name].reshape(-1) for name in small])
    for name in trained:
        if name not in small:
            spec = done.specs[name]
            places.append(Place(name, f"state.{name}", spec.shape, 0, spec.size))
            values[f"state.{name}"] = done.constants[name]
    head: list[Node] = []
    aliases: dict[str, str] = {}
    for name in trained:
        del done.constants[name]
        aliases[name] = f"state.{name}"
    if small:
        build = Builder(done, "state")
        nodes, done.nodes = done.nodes, head
        done.specs[PACKED] = Spec((start,), done.specs[small[0]].dtype)
        lengths = build.ints(done.specs[name].size for name in small)
        parts = build.several("Split", PACKED, lengths, outs=len(small), axis=0)
        for name, part in zip(small, parts, strict=True):
            done.specs[part] = Spec((done.specs[name].size,), done.specs[name].dtype)
            build.add("Reshape", part, build.ints(done.specs[name].shape), out=name)
        done.nodes = nodes
    for name, value in values.items():
        done.inputs[name] = (value.shape, value.dtype)
        done.specs[name] = Spec(value.shape, value.dtype)
    for node in done.nodes:
        node.inputs = [aliases[one] if one in aliases and one not in small else one for one in node.inputs]
    done.outputs = [aliases[one] if one in aliases and one not in small else one for one in done.outputs]
    done.nodes = [*head, *done.nodes]
    return done, tuple(places), values


def taken(places: Sequence[Place], values: dict[str, Array]) -> dict[str, Array]:
    """The trained tensors by name."""
    return {
        one.tensor: values[one.holder].reshape(-1)[one.start : one.start + one.count].reshape(one.shape)
        for one in places
    }


def put(places: Sequence[Place], values: dict[str, Array], tensors: dict[str, Array]) -> None:
    """The other way round, into `values`."""
    for one in places:
        values[one.holder].reshape(-1)[one.start : one.start + one.count] = tensors[one.tensor].reshape(-1)
