"""The first pass: fixes what the file left open, and measures every tensor.

The graph is run once with every tensor as an output. That gives the shapes and kinds of all, also where ONNX's shape
inference gives up, and the values of those that depend on shapes alone, which become constants.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from models.errors import BatchUnfit, ModelUntrainable
from models.tuning.graph import Array, Graph, Node, Spec, is_float
from models.tuning.onnx_file import to_model

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

_SHAPE_OPS = {"Shape", "Size"}
_FOLDED_SIZE = 1 << 16
_ERRORS_ONLY = 4


def resolve(graph: Graph, batch: int, sizes: Mapping[str, int] | None = None) -> Graph:
    """`graph` for pictures or texts in batches of `batch`. sizes: lengths of axes that the file leaves open, by name
    (the first axis of each input is the batch, named or not).

    Raises BatchUnfit (KF363) when it can't run with them, and ModelUntrainable (KF362).
    """
    done = graph.copy()
    done.inputs = {name: (fixed(name, dims, batch, sizes or {}), kind) for name, (dims, kind) in graph.inputs.items()}
    values = measured(done, batch)
    for name, value in values.items():
        done.specs[name] = Spec(value.shape, value.dtype)
    for name, value in done.constants.items():
        done.specs[name] = Spec(value.shape, value.dtype)
    _fold(done, values)
    return done


def fixed(name: str, dims: Sequence[int | str | None], batch: int, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape of input `name`. Raises BatchUnfit (KF363)."""
    lengths: list[int] = []
    for axis, one in enumerate(dims):
        if axis == 0:
            lengths.append(batch)
        elif isinstance(one, int) and one > 0:
            lengths.append(one)
        elif str(one) in sizes:
            lengths.append(sizes[str(one)])
        else:
            raise BatchUnfit(batch=batch, detail=f"axis {axis} ({one or 'unnamed'}) of input {name!r} has no length")
    return tuple(lengths)


def measured(graph: Graph, batch: int) -> dict[str, Array]:
    """Every tensor's value for random numbers, and for zero where an input takes integers."""
    random = np.random.default_rng(0)
    feeds: dict[str, Array] = {}
    for name, (dims, kind) in graph.inputs.items():
        shape = tuple(int(str(one)) for one in dims)
        feeds[name] = random.normal(size=shape).astype(kind) if is_float(kind) else np.zeros(shape, kind)
    return values(graph, feeds, batch)


def values(graph: Graph, feeds: Mapping[str, Array], batch: int) -> dict[str, Array]:
    """Of every tensor for these inputs. Raises BatchUnfit (KF363)."""
    every = graph.copy()
    every.specs = {}
    every.outputs = [name for node in graph.nodes for name in node.outputs if name]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            to_model(every).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        found = session.run(every.outputs, dict(feeds))
    except Exception as error:  # onnxruntime's exceptions have no common class of their own
        detail = str(error).strip().split("\n")[0][:200]
        raise BatchUnfit(batch=batch, detail=f"the network does not run so ({detail})") from error
    return dict(feeds) | dict(zip(every.outputs, found, strict=True))


def _fold(graph: Graph, values: Mapping[str, Array]) -> None:
    """Values that depend on shapes alone become constants; what depends on a weight stays, since it may be trained."""
    weights = {name for name, value in graph.constants.items() if is_float(value.dtype) and value.size > 1}
    open_ends = set(graph.inputs) | weights
    kept: list[Node] = []
    for node in graph.nodes:
        varies = node.op not in _SHAPE_OPS and not open_ends.isdisjoint(node.inputs)
        large = any(values[name].size > _FOLDED_SIZE for name in node.outputs if name)
        if varies or large or node.op.startswith("Random"):
            open_ends.update(name for name in node.outputs if name)
            kept.append(node)
            continue
        graph.constants.update({name: values[name] for name in node.outputs if name})
    graph.nodes = kept
    for name in graph.outputs:
        if name in graph.constants:
            raise ModelUntrainable(path="the model", detail=f"its output {name!r} does not depend on its inputs")
