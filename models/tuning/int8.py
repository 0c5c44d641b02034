"""Matrices as whole numbers of eight bits, for processors that multiply these several times faster.

Frozen weights are rounded once, to 127 steps each way for each column, trained ones in each step; what meets them is
rounded as it comes, by the operator DynamicQuantizeMatMul (integer products as in Jacob and others 2018, arXiv
1712.05877). What is learnt is added to the trained weights as they are, and so small steps are not lost. Gradients of
weights stay exact products, and so do small matrices, which would gain nothing.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from models.tuning.graph import MICROSOFT, Array, Builder, Graph, Node
from models.tuning.state import STATE

_LEAST = 128 * 128
_STEPS = 127.0


def quantised(graph: Graph, exact: Collection[str], changing: Collection[str] = ()) -> Graph:
    """graph: a whole step. exact: tensors whose products stay exact. The gradient where the way back begins must: few
    large numbers and many small ones, of which the small ones would be lost. changing: matrices that training changes,
    beside those that are the state themselves."""
    done = graph.copy()
    build = Builder(done, "int8")
    nodes, done.nodes = done.nodes, []
    made: dict[tuple[str, bool], tuple[str, str]] = {}
    now: dict[str, tuple[str, str]] = {}
    trained = {node.outputs[0] for node in nodes if node.op == "Reshape" and node.inputs[0].startswith(STATE)}
    trained |= set(changing)
    for node in nodes:
        found = _matrix(node, done, trained)
        if found is None or node.inputs[0] in exact:
            done.nodes.append(node)
            continue
        name, turned = found
        if found not in made:
            if name in done.constants:
                whole, scale = rounded(done.constants[name].T if turned else done.constants[name])
                made[found] = build.constant(whole), build.constant(scale)
            else:
                now[name] = now.get(name) or _rounded_now(build, name)
                whole_now, scale_now = now[name]
                made[found] = build.add("Transpose", whole_now, perm=[1, 0]) if turned else whole_now, scale_now
        build.add("DynamicQuantizeMatMul", node.inputs[0], *made[found], out=node.outputs[0], domain=MICROSOFT)
    return done


def _rounded_now(build: Builder, name: str) -> tuple[str, str]:
    """Of a matrix that training changes, in each step; one scale for all of it, since onnxruntime takes twenty times as
    long for one a column."""
    largest = build.add("ReduceMax", build.add("Abs", name), keepdims=0)
    least, steps = build.number(1e-12, name), build.number(1 / _STEPS, name)
    scale = build.add("Mul", build.add("Max", largest, least), steps)
    return build.add("QuantizeLinear", name, scale, build.constant(np.zeros((), np.int8))), scale


def rounded(value: Array) -> tuple[Array, Array]:
    """(inputs, outputs) as int8, and the scale of each column."""
    scale = np.maximum(np.abs(value).max(0), 1e-12) / _STEPS
    return np.round(value / scale).astype(np.int8), scale.astype(value.dtype)


def _matrix(node: Node, graph: Graph, trained: Collection[str]) -> tuple[str, bool] | None:
    """The weights that `node` multiplies by, and whether transposed."""
    name = node.inputs[1] if len(node.inputs) > 1 else ""
    if name not in graph.constants and name not in trained:
        return None
    spec = graph.specs.get(name)
    if spec is None or len(spec.shape) != 2 or int(np.prod(spec.shape)) < _LEAST or spec.dtype != np.float32:
        return None
    if node.op == "MatMul":
        return name, False
    plain = len(node.inputs) == 2 and not node.attributes.get("transA", 0) and node.attributes.get("alpha", 1.0) == 1.0
    return (name, bool(node.attributes.get("transB", 0))) if node.op == "Gemm" and plain else None
