"""Cheap values computed again on the way back, rather than kept from the way forward: memory for a little time.

Chen and others 2016 (Training deep nets with sublinear memory cost, arXiv 1604.06174) drop whole stretches between
checkpoints. Here only what costs a pass over memory is done again (activations, biases, norms); products and
convolutions never. Of x sigmoid(x), say, the way back wants both outputs, which come again from the one input.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from models.tuning.graph import Builder, Graph, Node

CHEAP = frozenset({
    "Abs", "Add", "Cast", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "Identity",
    "LayerNormalization", "LeakyRelu", "Log", "Mul", "Neg", "PRelu", "Pow", "Reciprocal", "Relu", "Reshape",
    "RotaryEmbedding", "Sigmoid", "SimplifiedLayerNormalization", "Softplus", "Sqrt", "Squeeze", "Sub", "Tanh",
    "Transpose", "Unsqueeze",
})  # fmt: skip


def recomputed(graph: Graph, forward: Collection[str]) -> Graph:
    """graph: a step whose composites are spelt out. forward: names of all that its forward part computes.

    What the way back reads of it is cut into groups that come from the same tensors; a group is computed again where
    that keeps fewer bytes. The numbers stay what they were."""
    made = graph.producers()
    kept = {
        name
        for node in graph.nodes
        if not forward_only(node, forward)
        for name in node.inputs
        if name in forward and name in graph.specs
    }
    groups: dict[frozenset[str], set[str]] = {}
    for name in kept:
        origin = _origin(name, made, forward, graph)
        if name not in origin:
            groups.setdefault(origin, set()).add(name)
    needed, again = set(kept), set()
    for origin, names in sorted(groups.items(), key=lambda one: (-_bytes(graph, one[1]), sorted(one[0]))):
        if _bytes(graph, origin - needed) < _bytes(graph, names):
            again |= names
            needed = (needed | origin) - names
    return _Rewriting(graph, made, forward, frozenset(again), frozenset(kept - again)).done() if again else graph


def forward_only(node: Node, forward: Collection[str]) -> bool:
    return all(name in forward for name in node.outputs if name)


def _bytes(graph: Graph, names: Iterable[str]) -> int:
    return sum(graph.specs[name].nbytes for name in names)


def _is_cheap(node: Node, graph: Graph) -> bool:
    """Where two large tensors are added (a residual), both would have to be kept for one sum."""
    if node.op not in CHEAP or any(name not in graph.specs for name in (*node.inputs, *node.outputs) if name):
        return False
    most = graph.specs[node.outputs[0]].nbytes
    return node.op not in ("Add", "Sub") or sum(2 * graph.specs[name].nbytes > most for name in node.inputs) < 2


def _origin(name: str, made: dict[str, Node], forward: Collection[str], graph: Graph) -> frozenset[str]:
    """The tensors that `name` comes from by cheap operators alone; itself where what makes it is not cheap."""
    found, seen, open_ = set(), set(), [name]
    while open_:
        one = open_.pop()
        if one in seen or one not in forward:
            continue
        seen.add(one)
        if _is_cheap(made[one], graph):
            open_ += made[one].inputs
        else:
            found.add(one)
    return frozenset(found)


@dataclass
class _Rewriting:
    """The way back reads `again` from copies of the nodes that made it, which stand before their first use."""

    graph: Graph
    made: dict[str, Node]
    forward: Collection[str]
    again: frozenset[str]
    kept: frozenset[str]
    copies: dict[str, str] = field(default_factory=dict)

    def done(self) -> Graph:
        result = self.graph.copy()
        nodes, result.nodes = result.nodes, []
        self._build = Builder(result, "again")
        for node in nodes:
            if not forward_only(node, self.forward):
                node.inputs = [self._copied(name) if name in self.again else name for name in node.inputs]
            result.nodes.append(node)
        return result

    def _copied(self, name: str) -> str:
        if name in self.copies or name not in self.forward:
            return self.copies.get(name, name)
        node = self.made[name]
        if name in self.kept or not _is_cheap(node, self.graph):
            self.copies[name] = self._apart(name)
            return self.copies[name]
        inputs = [self._copied(one) for one in node.inputs]
        outputs = [self._build.fresh("copy") if one else "" for one in node.outputs]
        for old, new in zip(node.outputs, outputs, strict=True):
            if old:
                self.copies[old] = new
                self._build.graph.specs[new] = self.graph.specs[old]
        self._build.graph.nodes.append(replace(node, inputs=inputs, outputs=outputs, name=self._build.fresh("node")))
        return self.copies[name]

    def _apart(self, name: str) -> str:
        """The same numbers under a name of their own, by a constant of its own: else the runtime sees that the same is
        computed twice, does it once and keeps it."""
        shape = self.graph.specs[name].shape
        own = self._build.constant([*shape], "int64", self._build.fresh("shape"))
        return self._build.note(self._build.add("Reshape", name, own), shape, name)
