"""Removal of what nothing reads."""

from __future__ import annotations

from models.tuning.graph import Graph


def clean(graph: Graph) -> Graph:
    """Without nodes and constants that no output depends on; optional outputs that nobody reads are dropped from a
    node's end. Inputs stay: they are what a caller gives."""
    done = graph.copy()
    needed = set(done.outputs)
    kept = []
    for node in reversed(done.nodes):
        if needed.isdisjoint(node.outputs):
            continue
        while len(node.outputs) > 1 and node.outputs[-1] not in needed and node.op not in ("Split", "Silu"):
            node.outputs.pop()
        needed.update(node.inputs)
        kept.append(node)
    done.nodes = kept[::-1]
    done.constants = {name: value for name, value in done.constants.items() if name in needed}
    return done
