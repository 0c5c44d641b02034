"""Another number of classes: the last layer of a classifier is made anew."""

from __future__ import annotations

import numpy as np

from models.errors import LossUnfit
from models.tuning.graph import Graph
from models.tuning.layers import layers


def classes_of(graph: Graph) -> int:
    """Of a classifier, by its last layer; 0 when it has no single one."""
    last = [one for one in layers(graph) if one.is_last]
    return last[0].outputs if len(last) == 1 and last[0].kind in ("dense", "pointwise") else 0


def with_classes(graph: Graph, count: int, seed: int = 0) -> tuple[Graph, tuple[str, ...]]:
    """The graph with a fresh last layer for `count` classes, and the names of the tensors that were made anew. Weights
    are drawn with one over the inputs as their variance, biases are zero. Raises LossUnfit (KF365)."""
    last = [one for one in layers(graph) if one.is_last]
    if len(last) != 1 or last[0].kind not in ("dense", "pointwise") or len(last[0].vectors) > 1:
        raise LossUnfit(loss="classification", detail=f"the network's end can't be made anew for {count} classes")
    (layer,) = last
    done = graph.copy()
    shape = list(done.constants[layer.weight].shape)
    shape[0 if layer.turned else 1] = count
    random = np.random.default_rng(seed)
    kind = done.constants[layer.weight].dtype
    done.constants[layer.weight] = (random.normal(size=shape) / np.sqrt(layer.inputs)).astype(kind)
    for name in layer.vectors:
        old = done.constants[name].shape
        done.constants[name] = np.zeros([count if one == layer.outputs else one for one in old], kind)
    return done, (layer.weight, *layer.vectors)
