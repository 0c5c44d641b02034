"""Frozen matrices kept in eight bits: each is unpacked just before it is multiplied by, so that no more than one stands
in memory whole.

Blocks of 32 along the inputs with a scale of their own, as GGUF's Q8_0 has them: such a file's numbers stay what they
are. Of finer kinds (Q4_K and the like) a number moves by at most 1/254 of the largest in its block.
"""

from __future__ import annotations

import numpy as np

from models.tuning.graph import Array, Builder, Graph

BLOCK = 32
OLDEST_OPSET = 21
_LEAST = 128 * 128
_STEPS = 127.0


def packed(graph: Graph, known: dict[str, tuple[Array, Array]]) -> Graph:
    """Every node that multiplies by a frozen matrix unpacks it for itself, with scales of its own: the runtime would
    join equal unpackings, and keep the result from the way forth to the way back. known: matrices that were rounded for
    another graph of the same program, so that both share them."""
    done = graph.copy()
    build = Builder(done, "packed")
    nodes, done.nodes = done.nodes, []
    wholes: dict[str, str] = {}
    for node in nodes:
        for place, name in enumerate(node.inputs):
            value = done.constants.get(name)
            if node.op not in ("MatMul", "Gemm", "Transpose") or value is None or not _is_worth(value):
                continue
            whole, scales = known[name] = known.get(name) or rounded(value)
            if name not in wholes:
                wholes[name] = build.fresh("whole")
                done.constants[wholes[name]] = whole
            own = build.constant(scales.copy(), name=build.fresh("scales"))
            node.inputs[place] = build.add("DequantizeLinear", wholes[name], own, axis=0, block_size=BLOCK)
            done.specs[node.inputs[place]] = done.specs[name]
        done.nodes.append(node)
    left = {name for node in done.nodes for name in node.inputs} | set(done.outputs)
    done.constants = {name: value for name, value in done.constants.items() if name in left}
    return done


def rounded(value: Array) -> tuple[Array, Array]:
    """(inputs, outputs) as int8, and (inputs / BLOCK, outputs) scales."""
    blocks = value.reshape(len(value) // BLOCK, BLOCK, -1)
    scales = np.maximum(np.abs(blocks).max(1), 1e-12) / _STEPS
    return np.round(blocks / scales[:, None]).astype(np.int8).reshape(value.shape), scales.astype(value.dtype)


def _is_worth(value: Array) -> bool:
    return value.ndim == 2 and value.size >= _LEAST and value.dtype == np.float32 and len(value) % BLOCK == 0
