"""Trained weights become a part that is trained and a whole that stays: in each step the part's rows are put into the
whole. The product then goes on as it did, and the way back wants of its input those channels alone. They are gathered
where the input is made, so that it can go."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.tuning.composites import KINFLOW
from models.tuning.graph import Array, Builder, Graph, Node, Spec
from models.tuning.layers import layers
from models.tuning.sampled import Sampled, by_channel, channels_first, draw

# Fewer channels than this are not worth choosing from.
_LEAST = 8


def sample(
    graph: Graph, trained: Sequence[str], share: float
) -> tuple[Graph, list[str], tuple[Sampled, ...], dict[str, Array]]:
    """graph: resolved. share: of the input channels, above 0. Of each weight but the last layers' so many are trained.
    The graph, what is trained now, what was sampled, and the state that no step changes."""
    done = graph.copy()
    nodes, done.nodes = done.nodes, []
    build, uses = Builder(done, "sampled"), graph.consumers()
    last = {one.weight for one in layers(graph) if one.is_last}
    random = np.random.default_rng(0)
    found: dict[str, Sampled] = {}
    fixed: dict[str, Array] = {}
    for node in nodes:
        name = node.inputs[1] if len(node.inputs) > 1 else ""
        axis = _axis(node, graph)
        if axis is None or name not in trained or name in last or len(uses[name]) > 1 or name in graph.outputs:
            continue
        count = graph.specs[name].shape[axis]
        wanted = max(1, round(share * count))
        if count < _LEAST or wanted >= count:
            continue
        one = Sampled(name, graph.specs[name].shape, axis, f"whole.{name}", f"channels.{name}", f"part.{name}")
        rows, channels = by_channel(done.constants.pop(name), axis), draw(random, count, wanted)
        fixed |= {one.whole: rows, one.channels: channels}
        build.constant(rows[channels], name=one.part)
        found[name] = one
    for name, value in fixed.items():
        done.inputs[name] = (value.shape, value.dtype)
        done.specs[name] = Spec(value.shape, value.dtype)
    parts = {name: _put_together(build, one) for name, one in found.items()}
    for node in nodes:
        name = node.inputs[1] if len(node.inputs) > 1 else ""
        done.nodes.append(_sampled(build, node, found[name], parts[name]) if name in parts else node)
    names = [found[name].part if name in found else name for name in trained]
    return done, names, tuple(found.values()), fixed


def _axis(node: Node, graph: Graph) -> int | None:
    """Of its weights' input channels, where it has such."""
    if node.op == "Conv":
        return 1 if node.attributes.get("group", 1) == 1 else None
    if node.op == "Gemm":
        return None if node.attributes.get("transA", 0) else int(bool(node.attributes.get("transB", 0)))
    is_matrix = node.op == "MatMul" and len(graph.specs[node.inputs[1]].shape) == 2
    return 0 if is_matrix and len(graph.specs[node.inputs[0]].shape) > 1 else None


def _put_together(build: Builder, one: Sampled) -> str:
    """Nodes for the weight; the name of its part, which is of its rank."""
    shape, count = channels_first(one.shape, one.axis), build.shape(one.channels)[0]
    back = [*range(1, one.axis + 1), 0, *range(one.axis + 1, len(shape))]
    # ScatterND wants an index of one number for each row.
    at = build.add("Reshape", one.channels, build.ints((count, 1)))
    if not one.axis:
        build.add("ScatterND", one.whole, at, one.part, out=one.tensor)
        return one.part
    rows = build.reshape(
        build.note(build.add("ScatterND", one.whole, at, one.part), build.shape(one.whole), one.whole), shape
    )
    build.add("Transpose", rows, perm=back, out=one.tensor)
    part = build.reshape(one.part, (count, *shape[1:]))
    lengths = [count if axis == one.axis else length for axis, length in enumerate(one.shape)]
    return build.note(build.add("Transpose", part, perm=back), lengths, one.part)


def _sampled(build: Builder, node: Node, one: Sampled, part: str) -> Node:
    """The input's channels are gathered before the product."""
    x, weight, *rest = node.inputs
    lengths = list(build.shape(x))
    axis = 1 if node.op == "Conv" else len(lengths) - 1
    lengths[axis] = build.shape(one.channels)[0]
    gathered = build.note(build.add("Gather", x, one.channels, axis=axis), lengths, x)
    return Node(
        f"Sampled{node.op}", [x, weight, gathered, part, *rest], node.outputs, node.attributes, KINFLOW, node.name
    )
