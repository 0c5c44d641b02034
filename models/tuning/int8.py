"""Frozen matrices as whole numbers of eight bits, for processors that multiply these several times faster.

Weights are rounded once, to 127 steps each way for each column; what meets them is rounded as it comes, by the operator
DynamicQuantizeMatMul (integer products as in Jacob and others 2018, arXiv 1712.05877). What is trained stays as it is,
and so do small matrices, which would gain nothing.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from models.tuning.graph import MICROSOFT, Array, Builder, Graph, Node

_LEAST = 128 * 128
_STEPS = 127.0


def quantised(graph: Graph, exact: Collection[str]) -> Graph:
    """graph: a whole step. exact: tensors whose products stay exact. The gradient where the way back begins must: few
    large numbers and many small ones, of which the small ones would be lost."""
    done = graph.copy()
    build = Builder(done, "int8")
    nodes, done.nodes = done.nodes, []
    made: dict[tuple[str, bool], tuple[str, str]] = {}
    for node in nodes:
        found = _frozen(node, done)
        if found is None or node.inputs[0] in exact:
            done.nodes.append(node)
            continue
        name, turned = found
        if (name, turned) not in made:
            value = done.constants[name].T if turned else done.constants[name]
            whole, scale = rounded(value)
            made[name, turned] = build.constant(whole), build.constant(scale)
        build.add("DynamicQuantizeMatMul", node.inputs[0], *made[name, turned], out=node.outputs[0], domain=MICROSOFT)
    return done


def rounded(value: Array) -> tuple[Array, Array]:
    """(inputs, outputs) as int8, and the scale of each column."""
    scale = np.maximum(np.abs(value).max(0), 1e-12) / _STEPS
    return np.round(value / scale).astype(np.int8), scale.astype(value.dtype)


def _frozen(node: Node, graph: Graph) -> tuple[str, bool] | None:
    """The constant matrix that `node` multiplies by, and whether transposed."""
    value = graph.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
    if value is None or value.ndim != 2 or value.size < _LEAST or value.dtype != np.float32:
        return None
    if node.op == "MatMul":
        return node.inputs[1], False
    plain = len(node.inputs) == 2 and not node.attributes.get("transA", 0) and node.attributes.get("alpha", 1.0) == 1.0
    return (node.inputs[1], bool(node.attributes.get("transB", 0))) if node.op == "Gemm" and plain else None
