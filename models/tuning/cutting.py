"""Where a network is cut in two: its frozen beginning, which depends on nothing that is trained and gives the same for
an example whenever it is seen, and the rest, which is fed with that."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from models.errors import BatchUnfit
from models.tuning import composites
from models.tuning.cleaning import clean
from models.tuning.graph import Array, Builder, Graph, Node, Spec, is_float
from models.tuning.resolve import values

_PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_RANDOM = ("Random", "Bernoulli", "Multinomial")
# One graph is optimised otherwise than the other, so that their sums are added up in another order.
_SAME = 1e-3


@dataclass(frozen=True)
class Cut:
    """prefix: for one example. kept: what passes from it to `rest`, by names of its own; a row of each is an
    example's."""

    prefix: Graph
    rest: Graph
    kept: dict[str, Spec]


def cut(graph: Graph, alone: Graph, trained: Collection[str]) -> Cut | None:
    """graph: resolved for a batch. alone: the same for one example. None where nothing would be spared, or where an
    example's row depends on others."""
    drawn = [name for node in graph.nodes if node.op.startswith(_RANDOM) for name in node.outputs]
    changing, given = graph.reached_from([*trained, *drawn]), graph.reached_from(graph.inputs)
    frozen = [node for node in graph.nodes if changing.isdisjoint(node.outputs)]
    first = _least_passed(graph, [node for node in frozen if not given.isdisjoint(node.outputs)])
    if not any(node.op in _PRODUCTS for node in first):
        return None
    prefix, rest = alone.copy(), graph.copy()
    inside, anyhow = {id(node) for node in first}, {name for node in frozen for name in node.outputs if name}
    # What is made of weights alone, and what is done again each time, is wanted on either side.
    prefix.nodes = [node for node in prefix.nodes if not anyhow.isdisjoint(node.outputs)]
    later = [one for one, node in zip(rest.nodes, graph.nodes, strict=True) if id(node) not in inside]
    rest.nodes, rest.inputs, prefix.outputs = [], {}, []
    ends, begins, kept = Builder(prefix, "prefix"), Builder(rest, "rest"), {}
    passed = _passed(graph, first)
    for name in passed:
        own = f"kept.{name}"
        kept[own] = rest.specs[own] = graph.specs[name]
        prefix.specs[own] = alone.specs[name]
        prefix.outputs.append(ends.add("Identity", name, out=own))
        rest.inputs[own] = (graph.specs[name].shape, graph.specs[name].dtype)
        begins.add("Identity", own, out=name)
    rest.nodes += later
    prefix = clean(prefix)
    return Cut(prefix, clean(rest), kept) if _is_by_example(graph, prefix, passed) else None


def _passed(graph: Graph, frozen: Sequence[Node]) -> list[str]:
    """What the others read of what is given to the frozen nodes or comes from them."""
    inside = {id(node) for node in frozen}
    there = set(graph.inputs) | {name for node in frozen for name in node.outputs if name}
    read = {name for node in graph.nodes if id(node) not in inside for name in node.inputs} | set(graph.outputs)
    return sorted(there & read)


def _least_passed(graph: Graph, frozen: Sequence[Node]) -> list[Node]:
    """Cheap nodes at the end are done again each time where fewer bytes are kept then: of a norm and what it was made
    from, one is enough."""
    left = list(frozen)

    def passed_bytes(nodes: Sequence[Node]) -> int:
        return sum(graph.specs[name].nbytes for name in _passed(graph, nodes))

    least = passed_bytes(left)
    while True:
        ends = set(_passed(graph, left))
        for node in reversed(left):
            if node.op in _PRODUCTS or ends.isdisjoint(node.outputs):
                continue
            fewer = [one for one in left if one is not node]
            now = passed_bytes(fewer)
            if now < least:
                left, least = fewer, now
                break
        else:
            return left


def _is_by_example(graph: Graph, prefix: Graph, passed: Sequence[str]) -> bool:
    """Whether what passes has a row for each example of a batch, which is what that example alone gives."""
    feeds = {name: _told_apart(graph.specs[name]) for name in graph.inputs}
    (count,) = {len(one) for one in feeds.values()}
    every = composites.lower(graph)
    try:
        together = values(every, feeds, count)
        alone = [
            values(composites.lower(prefix), {name: one[row : row + 1] for name, one in feeds.items()}, 1)
            for row in range(count)
        ]
    except BatchUnfit:
        return False
    if any(prefix.specs[f"kept.{name}"].shape[:1] != (1,) for name in passed):
        return False
    return all(_is_near(together[name], np.concatenate([one[f"kept.{name}"] for one in alone])) for name in passed)


def _told_apart(spec: Spec) -> Array:
    """Random numbers; of whole ones, each second row has other ones than the rest."""
    if is_float(spec.dtype):
        return np.random.default_rng(0).normal(size=spec.shape).astype(spec.dtype)
    found = np.zeros(spec.shape, spec.dtype)
    found[::2] = 1
    return found


def _is_near(one: Array, other: Array) -> bool:
    if one.shape != other.shape:
        return False
    if not is_float(one.dtype):
        return bool((one == other).all())
    return bool(np.allclose(one, other, rtol=_SAME, atol=_SAME * float(np.abs(other).max(initial=0)), equal_nan=True))
