"""What the way back makes of the way forward alone is made on the way forward, where less is kept so."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.tuning.networks import mobilenet
from models.tuning import compiler
from models.tuning.compiler import Recipe, compile_training
from models.tuning.graph import Array, Builder, Graph
from models.tuning.schemes import choose
from tests.models.tuning.doubles import Evaluator

COUNT = 2


def silu_network(seed: int = 0) -> Graph:
    """Convolutions with x sigmoid(x) between them."""
    graph = Graph(outputs=["y"])
    build = Builder(graph, "net")
    graph.inputs["x"] = (("n", 3, 12, 12), np.dtype(np.float32))
    random = np.random.default_rng(seed)
    x, wide = "x", 3
    for number in range(4):
        for kind, shape in (("weight", (8, wide, 3, 3)), ("bias", (8,))):
            graph.constants[f"{number}.{kind}"] = (random.normal(size=shape) * 0.2).astype(np.float32)
        z = build.add("Conv", x, f"{number}.weight", f"{number}.bias", pads=[1] * 4, kernel_shape=[3, 3])
        x, wide = build.add("Mul", z, build.add("Sigmoid", z)), 8
    graph.constants["head.weight"] = random.normal(size=(8, 4)).astype(np.float32)
    flat = build.add("Flatten", build.add("GlobalAveragePool", x), axis=1)
    build.add("MatMul", flat, "head.weight", out="y")
    return graph


def kept_bytes(step: Graph, feeds: dict[str, Array]) -> int:
    """Of what is there when the loss is, and is read after it."""
    ended = next(place for place, node in enumerate(step.nodes) if node.op == "Softmax")
    before = {name for node in step.nodes[:ended] for name in node.outputs}
    kept = before & {name for node in step.nodes[ended:] for name in node.inputs}
    every = step.copy()
    every.outputs = sorted(kept)
    truths = {node.outputs[0] for node in step.nodes if node.op in ("Greater", "Less", "And")}
    return sum(value.size * (1 if name in truths else 4) for name, value in Evaluator(every)(feeds).items())


NETWORKS = {"relu6": lambda: mobilenet(classes=4, size=32), "silu": silu_network}


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("scheme", ["bias-only", "deep", "full"])
def test_fewer_bytes_are_kept_and_the_numbers_stay(kind: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = NETWORKS[kind]()
    names, recipe = choose(graph, scheme).tensors, Recipe(COUNT)
    early = compile_training(graph, names, recipe)
    monkeypatch.setattr(compiler, "slopes_early", lambda step, *_: step)
    late = compile_training(graph, names, recipe)
    assert sorted(node.title for node in early.step.nodes) == sorted(node.title for node in late.step.nodes)
    there = set(early.step.constants) | set(early.step.inputs) | {""}
    for node in early.step.nodes:
        assert there.issuperset(node.inputs), node.title
        there.update(node.outputs)
    random: np.random.Generator = np.random.default_rng(0)
    ((name, (dims, _)),) = graph.inputs.items()
    x: Array = random.normal(size=(COUNT, *(int(str(one)) for one in dims[1:]))).astype(np.float32)
    scalars = {one: np.float32(0.1) for one in early.step.inputs if early.step.specs[one].shape == ()}
    feeds = {name: x, "labels": np.array([0, 3]), **early.state, **scalars}
    one, other = Evaluator(early.step)(feeds), Evaluator(late.step)(feeds)
    assert all(np.array_equal(one[key], other[key]) for key in other)
    kept, before = kept_bytes(early.step, feeds), kept_bytes(late.step, feeds)
    # Where every weight is trained, most of what slopes come from is wanted itself.
    assert kept <= before * {"bias-only": 0.62, "deep": 0.9, "full": 1.0}[scheme], (kept, before)


def test_what_is_wanted_anyway_is_not_made_twice() -> None:
    """Each weight is trained, so that the output of each activation is kept for the next one's gradient."""
    graph = silu_network()
    names = [f"{number}.weight" for number in range(4)]
    step = compile_training(graph, names, Recipe(COUNT)).step
    ended = next(place for place, node in enumerate(step.nodes) if node.op == "Softmax")
    made = [node for node in step.nodes[:ended] if node.op == "Sub"]
    # The last activation alone has no convolution behind it.
    assert len(made) == 1
