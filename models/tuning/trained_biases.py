"""A trained bias apart from its frozen weights: weights and bias that are both constant are laid out for speed by
onnxruntime, so the frozen convolution keeps a constant bias (none) and the trained one is added afterwards."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from models.tuning.graph import Builder, Graph


def split_biases(graph: Graph, trained: Collection[str]) -> Graph:
    done = graph.copy()
    build = Builder(done, "bias")
    nodes, done.nodes = done.nodes, []
    for node in nodes:
        done.nodes.append(node)
        bias_at = {"Conv": 2, "BatchNormalization": 2}.get(node.op)
        if bias_at is None or len(node.inputs) <= bias_at:
            continue
        bias = node.inputs[bias_at]
        if bias not in trained or not set(node.inputs[1:]).isdisjoint(set(trained) - {bias}):
            continue
        y = node.outputs[0]
        spec = done.specs[y]
        if node.op == "Conv":
            node.inputs.pop()
        else:
            node.inputs[bias_at] = build.constant(np.zeros(done.specs[bias].shape, done.specs[bias].dtype))
        bare = build.note(build.fresh("bare"), spec.shape, y)
        node.outputs[0] = bare
        wide = build.reshape(bias, (1, spec.shape[1], *[1] * (len(spec.shape) - 2)))
        build.add("Add", bare, wide, out=y)
    return done
