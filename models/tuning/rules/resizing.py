"""Resize: each axis is a matrix, whatever its mode, and back leads its transpose. Copies of whole pixels are sums."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.tuning.graph import Array, Graph, Node
from models.tuning.onnx_file import to_model
from models.tuning.rules import Call, NoRule, rule


@rule("Resize", "Upsample")
def resize(call: Call) -> Sequence[str]:
    build, shape, out = call.build, call.shape(), call.out_shape
    if len(shape) != 4 or shape[:2] != out[:2]:
        raise NoRule("it does not resize the two last of four axes")
    (n, channels, high, wide), rest = shape, [""] * (len(call.x) - 1)
    if call.attribute("mode", "nearest") not in ("nearest", "linear"):
        raise NoRule(f"its mode is {call.attribute('mode')}")
    rows, columns = matrices(call)
    factors = (out[2] // high, out[3] // wide)
    if all(_copies(one, factor) for one, factor in zip((rows, columns), factors, strict=True)):
        apart = build.reshape(call.dy[0], (n, channels, high, factors[0], wide, factors[1]))
        return [build.sum_over(apart, (3, 5)), *rest]
    left = call.add("MatMul", build.constant(np.ascontiguousarray(rows.T)), call.dy[0])
    return [call.add("MatMul", left, build.constant(columns)), *rest]


def _copies(matrix: Array, factor: int) -> bool:
    """Is each pixel copied `factor` times in a row?"""
    blocks = np.repeat(np.eye(matrix.shape[1], dtype=matrix.dtype), factor, axis=0)
    return matrix.shape == blocks.shape and bool((matrix == blocks).all())


def matrices(call: Call) -> tuple[Array, Array]:
    """(height out x height in) and (width out x width in): the operator itself, run on one impulse for each line."""
    import onnxruntime  # noqa: PLC0415 (few networks need it here)

    shape, out = call.shape(), call.out_shape
    dtype = call.build.dtype(call.y[0])
    found = []
    for axis in (2, 3):
        length = shape[axis]
        given = [length, 1, shape[2], shape[3]]
        lines = np.zeros(given, np.float32)
        for place in range(length):
            lines[(place, slice(None), place) if axis == 2 else (place, slice(None), slice(None), place)] = 1.0
        graph = Graph(
            nodes=[Node(call.node.op, ["x", "", "", "sizes"], ["y"], dict(call.node.attributes))],
            constants={"sizes": np.array([length, 1, *out[2:]], np.int64)},
            inputs={"x": (tuple(given), np.dtype(np.float32))},
            outputs=["y"],
            opset=call.build.graph.opset,
        )
        session = onnxruntime.InferenceSession(to_model(graph).SerializeToString(), providers=["CPUExecutionProvider"])
        (answer,) = session.run(["y"], {"x": lines})
        taken = answer[:, 0, :, 0] if axis == 2 else answer[:, 0, 0, :]
        found.append(np.ascontiguousarray(taken.T).astype(dtype))
    return found[0], found[1]
