"""The order of nodes, for memory: each update stands where its gradient is ready, so that the gradient can go."""

from __future__ import annotations

from models.tuning.graph import Graph, Node


def updates_early(graph: Graph) -> Graph:
    """Nodes keep their order, but each that the rest of the graph does not wait for (an update) moves up behind the
    last of what it reads, and each constant-like start (a Split of the state) stays where it is."""
    done = graph.copy()
    ready: dict[str, int] = {}
    keyed: list[tuple[int, int, Node]] = []
    updates = _only_for_updates(graph)
    for index, node in enumerate(done.nodes):
        latest = max((ready.get(name, -1) for name in node.inputs), default=-1)
        place = latest if index in updates else index
        for name in node.outputs:
            ready[name] = place
        keyed.append((place, index, node))
    keyed.sort(key=lambda one: one[:2])
    done.nodes = [node for _, _, node in keyed]
    return done


def _only_for_updates(graph: Graph) -> set[int]:
    """Indices of nodes that lead to no output but next values."""
    needed = {name for name in graph.outputs if not name.startswith("next.")}
    readers: dict[str, list[int]] = {}
    for index, node in enumerate(graph.nodes):
        for name in node.inputs:
            readers.setdefault(name, []).append(index)
    late: set[int] = set()
    for index in range(len(graph.nodes) - 1, -1, -1):
        node = graph.nodes[index]
        follows = [one for name in node.outputs for one in readers.get(name, [])]
        is_update = node.op in ("Identity", "Sub", "Add", "Mul", "Div", "Sqrt")
        if is_update and needed.isdisjoint(node.outputs) and all(one in late for one in follows):
            late.add(index)
    return late
