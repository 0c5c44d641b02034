"""What a network is made of, as far as choosing what to train goes: its weights in the order in which they run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from models.tuning.graph import Graph, Node, is_float

Kind = Literal["pointwise", "depthwise", "kernel", "dense", "embedding"]
_THROUGH = {"Transpose", "Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze"}


@dataclass
class Layer:
    """weight: its tensor, (outputs, inputs, ..) where `turned`, else (inputs, outputs). vectors: biases and scales that
    stand at it or between it and the next layer. inputs, outputs: lengths of the two sides. after: weights of layers
    that its output reaches first. reads: the tensor that it reads. is_last: no other layer stands between it and an
    output."""

    weight: str
    kind: Kind
    inputs: int
    outputs: int
    reads: str
    vectors: list[str]
    after: set[str]
    turned: bool = True
    is_last: bool = False


def layers(graph: Graph) -> list[Layer]:
    made = graph.producers()
    found: list[Layer] = []
    # For each tensor, the layers whose output reaches it with no other layer between.
    nearest: dict[str, set[int]] = {}
    loose: list[str] = []
    for node in graph.nodes:
        layer = _layer(node, made, graph)
        sources = {index for name in node.inputs for index in nearest.get(name, ())}
        if layer is not None and all(one.weight != layer.weight for one in found):
            for index in sources:
                found[index].after.add(layer.weight)
            layer.vectors += loose
            loose = []
            found.append(layer)
            sources = {len(found) - 1}
        for name in _vectors(node, graph):
            taken = any(name in one.vectors for one in found) or name in loose
            if not taken:
                (found[-1].vectors if found else loose).append(name)
        for name in node.outputs:
            nearest[name] = sources
    for name in graph.outputs:
        for index in nearest.get(name, ()):
            found[index].is_last = True
    return found


def _constant(name: str, made: dict[str, Node], graph: Graph) -> str:
    """The constant behind `name`, also through a transposition; "" where there is none."""
    while name in made and made[name].op in _THROUGH:
        name = made[name].inputs[0]
    return name if name in graph.constants and is_float(graph.constants[name].dtype) else ""


def _layer(node: Node, made: dict[str, Node], graph: Graph) -> Layer | None:
    if node.op == "Gather":
        weight = _constant(node.inputs[0], made, graph)
        if weight and graph.constants[weight].ndim == 2:
            rows, width = graph.constants[weight].shape
            return Layer(weight, "embedding", rows, width, node.inputs[1], [], set(), turned=False)
        return None
    if node.op not in ("Conv", "Gemm", "MatMul"):
        return None
    weight = _constant(node.inputs[1], made, graph)
    if not weight or graph.constants[weight].ndim != (4 if node.op == "Conv" else 2):
        return None
    shape = graph.constants[weight].shape
    if node.op == "Conv":
        groups = int(node.attributes.get("group", 1))
        kind: Kind = "kernel"
        if groups > 1 and shape[1] == 1:
            kind = "depthwise"
        elif shape[2:] == (1, 1):
            kind = "pointwise"
        return Layer(weight, kind, shape[1] * groups, shape[0], node.inputs[0], [], set())
    turned = bool(node.attributes.get("transB", 0)) != (made.get(node.inputs[1], node).op == "Transpose")
    inputs, outputs = shape[::-1] if turned else shape
    return Layer(weight, "dense", inputs, outputs, node.inputs[0], [], set(), turned)


def _vectors(node: Node, graph: Graph) -> Iterable[str]:
    """Biases and scales: trained at little cost. A scale of batch normalisation is none: it would keep the runtime from
    folding it into the convolution."""
    places = {
        "Conv": (2,), "Gemm": (2,), "Add": (0, 1), "Mul": (0, 1), "LayerNormalization": (1, 2), "PRelu": (1,),
        "InstanceNormalization": (1, 2), "BatchNormalization": (2,), "SimplifiedLayerNormalization": (1,),
    }.get(node.op, ())  # fmt: skip
    for place in places:
        name = node.inputs[place] if place < len(node.inputs) else ""
        value = graph.constants.get(name)
        if value is None or not is_float(value.dtype) or value.size != max(value.shape, default=0):
            continue
        # A single number may be a bias; beside Add or Mul it is part of a formula.
        if value.size > 1 or node.op in ("Conv", "Gemm"):
            yield name
