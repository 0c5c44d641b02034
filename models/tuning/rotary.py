"""Rotary positions (Su and others 2021, arXiv 2104.09864, section 3.4.2) as exports spell them out become onnxruntime's
own operator, which passes over memory once in place of seven times."""

from __future__ import annotations

import numpy as np

from models.tuning.graph import MICROSOFT, Array, Builder, Graph, Node

ROTARY = "RotaryEmbedding"


def rotary(node: Node, made: dict[str, Node], build: Builder) -> Node | None:
    """x cos + turned sin, where `turned` is -x's second half before its first; x: batch x heads x places x head. cos
    and sin: places x head, both halves the same."""
    graph = build.graph
    if node.op != "Add" or len(node.inputs) != 2:
        return None
    for straight, across in (node.inputs, node.inputs[::-1]):
        first, second = _by_constant(made.get(straight), graph), _by_constant(made.get(across), graph)
        if first is None or second is None or not _is_turned(made.get(second[0]), first[0], made, graph):
            continue
        x, shape = first[0], graph.specs[first[0]].shape
        angles = [_half(value, shape[-2:]) for value in (first[1], second[1])]
        if len(shape) != 4 or angles[0] is None or angles[1] is None:
            continue
        inputs = [x, *given(build, angles[0], angles[1])]
        return Node(ROTARY, inputs, list(node.outputs), {"interleaved": 0}, MICROSOFT, node.name)
    return None


def given(build: Builder, cosine: Array, sine: Array) -> tuple[str, str, str]:
    """The operator's other inputs: where places begin, and the angles. cosine, sine: places x half a head."""
    return build.ints((0,)), build.constant(cosine.astype(np.float32)), build.constant(sine.astype(np.float32))


def spelt_out(build: Builder, node: Node) -> None:
    """The same in ONNX's own operators."""
    graph, x = build.graph, node.inputs[0]
    n, heads, places, head = graph.specs[x].shape
    neighbours = bool(node.attributes.get("interleaved", 0))
    cosine, sine = (build.constant(graph.constants[name][:places]) for name in node.inputs[2:])
    pairs = (n, heads, places, head // 2, 2) if neighbours else (n, heads, places, 2, head // 2)
    axis = -1 if neighbours else -2
    apart = build.add("Reshape", x, build.ints(pairs))
    one, other = (build.add("Gather", apart, build.constant(np.asarray(at, np.int64)), axis=axis) for at in (0, 1))
    left = build.add("Sub", build.add("Mul", one, cosine), build.add("Mul", other, sine))
    right = build.add("Add", build.add("Mul", one, sine), build.add("Mul", other, cosine))
    both = [build.add("Unsqueeze", part, build.ints((axis,))) for part in (left, right)]
    joined = build.add("Concat", *both, axis=axis)
    build.add("Reshape", joined, build.ints((n, heads, places, head)), out=node.outputs[0])


def _by_constant(node: Node | None, graph: Graph) -> tuple[str, Array] | None:
    """What is multiplied, and by which numbers."""
    if node is None or node.op != "Mul":
        return None
    for name, other in (node.inputs, node.inputs[::-1]):
        if other in graph.constants and name not in graph.constants:
            return name, graph.constants[other]
    return None


def _half(value: Array, shape: tuple[int, ...]) -> Array | None:
    """places x half a head; None where the two halves differ."""
    if value.size != int(np.prod(shape)) or value.shape[-2:] != shape or shape[-1] % 2:
        return None
    flat, half = value.reshape(shape), shape[-1] // 2
    return flat[:, :half] if np.array_equal(flat[:, :half], flat[:, half:]) else None


def _is_turned(node: Node | None, x: str, made: dict[str, Node], graph: Graph) -> bool:
    rank, head = len(graph.specs[x].shape), graph.specs[x].shape[-1]
    if node is None or node.op != "Concat" or len(node.inputs) != 2 or int(node.attributes["axis"]) % rank != rank - 1:
        return False
    negative = made.get(node.inputs[0])
    if negative is None or negative.op != "Neg":
        return False
    second, first = _stretch(negative.inputs[0], made, graph), _stretch(node.inputs[1], made, graph)
    return second == (x, head // 2, head) and first == (x, 0, head // 2)


def _stretch(name: str, made: dict[str, Node], graph: Graph) -> tuple[str, int, int] | None:
    """The tensor that `name` is a stretch of along its last axis, and where it begins and ends."""
    node = made.get(name)
    if node is None or not node.inputs or node.inputs[0] not in graph.specs:
        return None
    shape = graph.specs[node.inputs[0]].shape
    if node.op == "Split" and int(node.attributes.get("axis", 0)) % len(shape) == len(shape) - 1:
        lengths = [graph.specs[one].shape[-1] for one in node.outputs]
        place = node.outputs.index(name)
        return node.inputs[0], sum(lengths[:place]), sum(lengths[: place + 1])
    if node.op != "Slice" or any(one not in graph.constants for one in node.inputs[1:]):
        return None
    starts, ends, *rest = (np.ravel(graph.constants[one]).tolist() for one in node.inputs[1:])
    axes, steps = rest[0] if rest else [0], rest[1] if len(rest) > 1 else [1]
    if len(starts) != 1 or axes[0] % len(shape) != len(shape) - 1 or steps[0] != 1:
        return None
    start, end, _ = slice(starts[0], ends[0]).indices(shape[-1])
    return node.inputs[0], start, end
