"""What a scheme can be put together from: biases of the last k layers, and groups of layers' weights. Pure.

As in MCUNetV3 (Lin and others 2022, arXiv 2206.15472, section 3.2) and PockEngine (Zhu and others 2023, arXiv
2310.17752, section 3.1). The head is always trained, but for one as large as a vocabulary, which is one more group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.tuning.graph import Graph, Node
from models.tuning.layers import Layer, layers
from models.tuning.schemes import head_of, is_narrow

MOST_GROUPS = 16
# Shares of the layers, counted from the end, whose biases may be trained.
BIAS_SHARES = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Part:
    """Something that can be trained as a whole. first: number of its earliest layer."""

    name: str
    tensors: tuple[str, ...]
    first: int


@dataclass(frozen=True)
class Choice:
    """biases: which of the space's, -1 for none. groups: numbers of those whose weights are trained."""

    biases: int = -1
    groups: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Size:
    """Of one layer at the batch that is trained with. products: multiplications forward. read, written: bytes of what
    it reads and gives."""

    products: float
    read: float
    written: float


@dataclass(frozen=True)
class Space:
    """always: what every choice trains. sizes: of each layer, in their order. numbers: how many each tensor holds. at:
    the layer that each tensor belongs to. weights: those that are no vectors."""

    always: Part
    biases: tuple[Part, ...]
    groups: tuple[Part, ...]
    sizes: tuple[Size, ...]
    numbers: dict[str, int]
    at: dict[str, int]
    weights: frozenset[str]

    def parts(self, choice: Choice) -> list[Part]:
        biases = [self.biases[choice.biases]] if choice.biases >= 0 else []
        return [*biases, *(self.groups[one] for one in sorted(choice.groups))]

    def tensors(self, choice: Choice) -> tuple[str, ...]:
        every = [*self.always.tensors, *(name for part in self.parts(choice) for name in part.tensors)]
        return tuple(dict.fromkeys(every))

    def singles(self) -> list[tuple[str, Choice]]:
        """What is tried alone, each with its name: nothing but the head first, then from the network's end on."""
        found = [(self.always.name, Choice())]
        found += [(part.name, Choice(number)) for number, part in enumerate(self.biases)]
        order = sorted(range(len(self.groups)), key=lambda one: -self.groups[one].first)
        return found + [(self.groups[one].name, Choice(-1, frozenset({one}))) for one in order]


def space_of(graph: Graph, loss: str, made_anew: Sequence[str] = ()) -> Space:
    """graph: resolved, with the batch that is trained with. made_anew: tensors that have to be trained."""
    found = layers(graph)
    always = tuple(dict.fromkeys([*head_of(found, loss), *made_anew]))
    at = {name: place for place, one in enumerate(found) for name in (one.weight, *one.vectors)}
    nodes = _readers(graph, found)
    sizes = tuple(_size(graph, one, node) for one, node in zip(found, nodes, strict=True))
    biases: list[Part] = []
    for share in BIAS_SHARES:
        first = len(found) - max(1, round(len(found) * share))
        tensors = tuple(name for one in found[first:] for name in one.vectors if name not in always)
        if tensors and (not biases or tensors != biases[-1].tensors):
            biases.append(Part(f"biases of the last {len(found) - first} layers", tensors, first))
    # A depthwise weight's gradient takes longer than all else of its block, and an embedding is as large as a
    # vocabulary: each kind is one group, that comes in where there is plenty.
    open_ = [place for place, one in enumerate(found) if one.kind not in ("depthwise", "embedding")]
    open_ = [place for place in open_ if found[place].weight not in always]
    groups = []
    for chunk in np.array_split(np.array(open_, int), min(MOST_GROUPS, len(open_))) if open_ else []:
        names = tuple(found[place].weight for place in chunk)
        title = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} after it"
        groups.append(Part(title, names, int(chunk[0])))
    for kind, title in (("depthwise", "all depthwise weights"), ("embedding", "the embedding")):
        these = [place for place, one in enumerate(found) if one.kind == kind and one.weight not in always]
        these = [place for place in these if kind != "embedding" or is_narrow(found[place])]
        if these:
            groups.append(Part(title, tuple(found[place].weight for place in these), these[0]))
    last = min((at[name] for name in always if name in at), default=len(found))
    numbers = {name: graph.constants[name].size for name in (*at, *always)}
    weights = frozenset(one.weight for one in found)
    head = Part("the head alone" if always else "nothing", always, last)
    return Space(head, tuple(biases), tuple(groups), sizes, numbers, at, weights)


def _readers(graph: Graph, found: Sequence[Layer]) -> list[Node]:
    """The node of each layer: the one that reads what it reads and a weight."""
    taken: set[int] = set()
    nodes = []
    for one in found:
        for place, node in enumerate(graph.nodes):
            reads = node.inputs[1] if node.op == "Gather" else node.inputs[0]
            if node.op in ("Conv", "Gemm", "MatMul", "Gather") and reads == one.reads and place not in taken:
                taken.add(place)
                nodes.append(node)
                break
    return nodes


def _size(graph: Graph, layer: Layer, node: Node) -> Size:
    read, written = graph.specs[layer.reads], graph.specs[node.outputs[0]]
    each = 0 if layer.kind == "embedding" else graph.constants[layer.weight].size / layer.outputs
    return Size(float(written.size * each), float(read.nbytes), float(written.nbytes))
