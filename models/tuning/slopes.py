"""Slopes that are made on the way forward: what the way back makes of the forward part alone is made at once where
fewer bytes are kept so. Of a ReLU that is a truth value a number, in place of four bytes; of x sigmoid(x) one tensor in
place of two. onnxruntime keeps to it where it runs by priority, and what a slope is made from is then still in the
processor's cache.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from models.tuning.graph import KINDS, Graph, Node, Spec
from models.tuning.recomputing import forward_only
from models.tuning.rules import broadcast_shapes

_TRUTHS = frozenset({"And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or"})
_CHEAP = _TRUTHS | {"Add", "Cast", "Div", "Exp", "Mul", "Neg", "Sigmoid", "Sign", "Sub", "Where"}


def slopes_early(graph: Graph, forward: Collection[str], given: Collection[str]) -> Graph:
    """graph: a step. forward: names of what its forward part makes. given: those of them that depend on the batch."""
    back = [node for node in graph.nodes if not forward_only(node, forward)]
    specs = {name: graph.specs[name] for name in given if name in graph.specs}
    cheap = _of_forward_alone(graph, back, forward, specs)
    inside = {id(node) for node in back}
    readers = {name: [one for one in nodes if id(one) in inside] for name, nodes in graph.consumers().items()}
    moved: set[int] = set()
    for group in _groups(cheap, specs):
        moved |= {id(node) for node in _worth_moving(group, readers, specs)}
    return _moved_up(graph, moved)


def _of_forward_alone(
    graph: Graph, back: Sequence[Node], forward: Collection[str], specs: dict[str, Spec]
) -> list[Node]:
    """Of the way back. specs: of what depends on the batch; gets those of what these nodes make."""
    found = []
    for node in back:
        fixed = [name for name in node.inputs if name not in specs and (name in graph.constants or name in forward)]
        if node.op not in _CHEAP or len(fixed) == len(node.inputs) or len(node.outputs) != 1:
            continue
        if not all(name in specs or name in fixed for name in node.inputs):
            continue
        known = [specs.get(name) or graph.specs.get(name) for name in node.inputs]
        if all(one is not None for one in known):
            specs[node.outputs[0]] = _made(node, [one for one in known if one is not None])
            found.append(node)
    return found


def _made(node: Node, inputs: Sequence[Spec]) -> Spec:
    kind = inputs[-1].dtype
    if node.op in _TRUTHS:
        kind = np.dtype(np.bool_)
    elif node.op == "Cast":
        kind = KINDS[int(node.attributes["to"])]
    return Spec(broadcast_shapes(*(one.shape for one in inputs)), kind)


def _groups(nodes: Sequence[Node], specs: Collection[str]) -> list[list[Node]]:
    """Nodes that have to do with one another by what they read and make."""
    group_of: dict[str, list[Node]] = {}
    for node in nodes:
        names = [name for name in (*node.inputs, *node.outputs) if name in specs]
        together = [node]
        for one in {id(group_of[name]): group_of[name] for name in names if name in group_of}.values():
            together += one
        for each in together:
            group_of.update({name: together for name in (*each.inputs, *each.outputs) if name in specs})
    return list({id(group): group for group in group_of.values()}.values())


def _worth_moving(group: Sequence[Node], readers: dict[str, list[Node]], specs: dict[str, Spec]) -> list[Node]:
    """Those of a group that are best made at once; none where nothing is spared."""
    names = {name for node in group for name in (*node.inputs, *node.outputs) if name in specs}
    made = {node.outputs[0]: id(node) for node in group}

    def kept_bytes(early: Sequence[Node]) -> int:
        inside = {id(node) for node in early}
        there = [name for name in names if name not in made or made[name] in inside]
        return sum(specs[name].nbytes for name in there if any(id(one) not in inside for one in readers.get(name, [])))

    left, least = list(group), kept_bytes(group)
    while True:
        # Whose result goes into the way back may as well be made there, unless others of these read it.
        within = {name for node in left for name in node.inputs}
        fewer = [[one for one in left if one is not node] for node in left if within.isdisjoint(node.outputs)]
        best = min(fewer, key=kept_bytes, default=None)
        if best is None or kept_bytes(best) >= least:
            return left if least < kept_bytes([]) else []
        left, least = best, kept_bytes(best)


def _moved_up(graph: Graph, moved: Collection[int]) -> Graph:
    """Each of `moved` stands behind the last of what it reads."""
    there: dict[str, int] = {}
    keyed: list[tuple[int, int, Node]] = []
    for index, node in enumerate(graph.nodes):
        place = max((there.get(name, -1) for name in node.inputs), default=-1) if id(node) in moved else index
        there.update(dict.fromkeys(node.outputs, place))
        keyed.append((place, index, node))
    keyed.sort(key=lambda one: one[:2])
    done = graph.copy()
    done.nodes = [node for _, _, node in keyed]
    return done
