"""Low-rank adapters (Hu and others 2021, arXiv 2106.09685): x W becomes x W + scale (x down) up, W frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.errors import SchemeEmpty
from models.tuning.bundle import Merge
from models.tuning.graph import Builder, Graph


@dataclass(frozen=True)
class Adapter:
    """weight: the matrix that it is added to. scale is alpha / rank."""

    weight: str
    rank: int
    alpha: float


def with_adapters(graph: Graph, adapters: Sequence[Adapter], seed: int = 0) -> tuple[Graph, tuple[Merge, ...]]:
    """The graph with them, and how each is merged. At the start `up` is zero: nothing changes."""
    done = graph.copy()
    build = Builder(done, "lora")
    random = np.random.default_rng(seed)
    wanted = {one.weight: one for one in adapters}
    merges: dict[str, Merge] = {}
    nodes, done.nodes = done.nodes, []
    for node in nodes:
        done.nodes.append(node)
        if node.op not in ("MatMul", "Gemm") or node.inputs[1] not in wanted:
            continue
        one = wanted[node.inputs[1]]
        if one.weight in merges or node.attributes.get("transA", 0):
            raise SchemeEmpty(detail=f"{one.weight} is used in more than one place, or transposed")
        value = done.constants[one.weight]
        turned = bool(node.attributes.get("transB", 0))
        inputs, outputs = value.shape[::-1] if turned else value.shape
        scale = one.alpha / one.rank * float(node.attributes.get("alpha", 1.0))
        spread = random.normal(size=(inputs, one.rank)) / np.sqrt(inputs)
        down = build.constant(spread, value.dtype, f"{one.weight}.down")
        up = build.constant(np.zeros((one.rank, outputs)), value.dtype, f"{one.weight}.up")
        y = node.outputs[0]
        node.outputs[0] = build.fresh("frozen")
        added = build.add("MatMul", build.add("MatMul", node.inputs[0], down), up)
        scaled = build.add("Mul", added, build.constant(np.asarray(scale, value.dtype)))
        build.add("Add", node.outputs[0], scaled, out=y)
        merges[one.weight] = Merge(one.weight, down, up, one.alpha / one.rank, turned)
    missing = [name for name in wanted if name not in merges]
    if missing:
        raise SchemeEmpty(detail=f"{missing[0]} is no matrix of a MatMul or Gemm")
    return done, tuple(merges.values())
