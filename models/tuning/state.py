"""What training changes: trained tensors become inputs of the graph, small ones packed into one long vector, so that an
optimizer takes a few operators for all of them and not a few for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.tuning.graph import Array, Builder, Graph, Shape, Spec

PACKED, STATE = "packed", "state."
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
    nodes, done.nodes = done.nodes, []
    build = Builder(done, "state")
    small = [name for name in trained if done.specs[name].size <= PACKED_UP_TO]
    if len(small) < 2:
        small = []
    large = [name for name in trained if name not in small]
    start = 0
    places: list[Place] = []
    for name in small:
        spec = done.specs[name]
        places.append(Place(name, PACKED, spec.shape, start, spec.size))
        start += spec.size
    places += [Place(name, f"{STATE}{name}", done.specs[name].shape, 0, done.specs[name].size) for name in large]
    values: dict[str, Array] = {}
    if small:
        values[PACKED] = np.concatenate([done.constants[name].reshape(-1) for name in small])
    values |= {f"{STATE}{name}": done.constants[name].reshape(_held(done.specs[name].shape)) for name in large}
    for name, value in values.items():
        done.inputs[name] = (value.shape, value.dtype)
        done.specs[name] = Spec(value.shape, value.dtype)
    for name in trained:
        del done.constants[name]
    if small:
        _split(build, small)
    for name in large:
        # Free of cost: the same numbers under another shape.
        build.add("Reshape", f"{STATE}{name}", build.ints(done.specs[name].shape), out=name)
    done.nodes += nodes
    return done, tuple(places), values


def _held(shape: Shape) -> Shape:
    """A matrix at most: onnxruntime multiplies by a scalar thirty times slower where lengths of 1 stand last."""
    return shape if len(shape) <= 2 else (shape[0], int(np.prod(shape[1:])))


def _split(build: Builder, small: Sequence[str]) -> None:
    specs = build.graph.specs
    flat = [len(specs[name].shape) == 1 for name in small]
    outs = [name if is_flat else build.fresh("part") for name, is_flat in zip(small, flat, strict=True)]
    build.several("Split", PACKED, build.ints(specs[name].size for name in small), outs=outs, axis=0)
    for name, part in zip(small, outs, strict=True):
        if part != name:
            specs[part] = Spec((specs[name].size,), specs[name].dtype)
            build.add("Reshape", part, build.ints(specs[name].shape), out=name)


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
