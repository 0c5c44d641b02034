"""The same graph in double precision, evaluated by onnx's reference in NumPy: exact enough for differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from models.tuning.composites import spelt_out
from models.tuning.graph import Array, Graph, Spec
from models.tuning.onnx_file import to_model

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


class Erf(OpRun):
    """The reference's own is of single precision."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (np.vectorize(math.erf, otypes=[x.dtype])(x),)


class Gelu(OpRun):
    op_domain = ""

    def _run(self, x: Array, approximate: str | None = None) -> tuple[Array]:
        return (x * (1 + np.vectorize(math.erf, otypes=[x.dtype])(x / math.sqrt(2))) / 2,)


class ConvTranspose(OpRun):
    """The reference's own takes no groups."""

    op_domain = ""

    def _run(
        self, x: Array, w: Array, b: Array | None = None, *, dilations: Any = None, group: int = 1, pads: Any = None,
        strides: Any = None, output_padding: Any = None, **_: Any,
    ) -> tuple[Array]:  # fmt: skip
        (n, _, high, wide), (_, outer, rows, columns) = x.shape, w.shape
        s, d, p, o = strides or (1, 1), dilations or (1, 1), pads or (0, 0, 0, 0), output_padding or (0, 0)
        whole = [(high - 1) * s[0] + (rows - 1) * d[0] + 1 + o[0], (wide - 1) * s[1] + (columns - 1) * d[1] + 1 + o[1]]
        y = np.zeros((n, group, outer, *whole), x.dtype)
        apart, weights = x.reshape(n, group, -1, high, wide), w.reshape(group, -1, outer, rows, columns)
        for i in range(rows):
            for j in range(columns):
                spread = np.einsum("ngchw,gco->ngohw", apart, weights[..., i, j])
                y[..., i * d[0] :: s[0], j * d[1] :: s[1]][..., :high, :wide] += spread
        y = y.reshape(n, group * outer, *whole)[:, :, p[0] : whole[0] - p[2], p[1] : whole[1] - p[3]]
        return (y if b is None else y + b[:, None, None],)


def doubled(graph: Graph) -> Graph:
    done = spelt_out(graph)
    done.constants = {
        name: np.asarray(one, DOUBLE) if one.dtype == SINGLE else one for name, one in done.constants.items()
    }
    done.inputs = {name: (dims, DOUBLE if kind == SINGLE else kind) for name, (dims, kind) in done.inputs.items()}
    done.specs = {
        name: Spec(one.shape, DOUBLE if one.dtype == SINGLE else one.dtype) for name, one in done.specs.items()
    }
    for node in done.nodes:
        if node.op == "Cast" and node.attributes["to"] == 1:
            node.attributes["to"] = 11
        value = node.attributes.get("value")
        if isinstance(value, np.ndarray) and value.dtype == SINGLE:
            node.attributes["value"] = value.astype(DOUBLE)
    return done


class Evaluator:
    """The reference's maximum over windows knows no padding; there onnxruntime computes, as exactly."""

    def __init__(self, graph: Graph) -> None:
        model = to_model(doubled(graph))
        if any(node.op == "MaxPool" for node in graph.nodes):
            session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            self._run = session.run
        else:
            self._run = ReferenceEvaluator(model, new_ops=[ConvTranspose, Erf, Gelu]).run
        self._outputs = graph.outputs

    def __call__(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        given = {name: np.asarray(one, DOUBLE) if one.dtype == SINGLE else one for name, one in feeds.items()}
        return dict(zip(self._outputs, self._run(None, given), strict=True))
