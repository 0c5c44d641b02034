"""Values computed again: the same numbers, and fewer of them kept for the way back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.tuning.networks import Llama, llama
from models.tuning import onnx_file
from models.tuning.bundling import Origin, save
from models.tuning.compiler import Recipe, compile_training
from models.tuning.graph import Builder, Graph
from models.tuning.recomputing import recomputed
from models.tuning.trainer import Trainer

RANDOM = np.random.default_rng(6)
FLOAT = np.dtype(np.float32)


def gated(layers: int = 4) -> Graph:
    """x sigmoid(x) between convolutions, a residual round each but the first."""
    graph = Graph(outputs=["y"])
    build = Builder(graph, "net")
    graph.inputs["x"] = (("n", 3, 12, 12), FLOAT)
    x, inner = "x", 3
    for number in range(layers):
        graph.constants[f"{number}.weight"] = (RANDOM.normal(size=(8, inner, 3, 3)) * 0.2).astype(FLOAT)
        graph.constants[f"{number}.bias"] = np.zeros(8, FLOAT)
        given = f"{number}.weight", f"{number}.bias"
        z = build.add("Conv", x, *given, pads=[1] * 4, kernel_shape=[3, 3], strides=[1, 1])
        y = build.add("Mul", z, build.add("Sigmoid", z))
        x = build.add("Add", x, y) if number else y
        inner = 8
    graph.constants["head.weight"] = RANDOM.normal(size=(8, 3)).astype(FLOAT)
    flat = build.add("Flatten", build.add("GlobalAveragePool", x), axis=1)
    build.add("MatMul", flat, "head.weight", out="y")
    return graph


def kept_bytes(graph: Graph, forward: set[str]) -> int:
    """Of what the forward part computes and the rest reads."""
    later = [node for node in graph.nodes if not forward.issuperset(node.outputs)]
    read = {name for node in later for name in node.inputs} & forward & set(graph.specs)
    return sum(graph.specs[name].nbytes for name in read)


@pytest.mark.parametrize("kind", ["gated", "llama"])
def test_steps_are_the_same(tmp_path: Path, kind: str) -> None:
    form = Llama(vocabulary=24, width=16, layers=2, heads=2, hidden=24, places=6)
    graph, loss = (gated(), "classification") if kind == "gated" else (llama(form), "language")
    onnx_file.write(graph, tmp_path / "net.onnx")
    trained = [name for name in graph.constants if name.endswith(("weight", "bias"))]
    states = []
    for again in (False, True):
        recipe, place = Recipe(4, loss, recompute=again), tmp_path / str(again)
        program = compile_training(onnx_file.read(tmp_path / "net.onnx"), trained, recipe)
        assert any("again" in name for node in program.step.nodes for name in node.outputs) is again
        assert not any("again" in name for node in program.forward.nodes for name in node.outputs)
        save(program, place, Origin(tmp_path / "net.onnx", "test"))
        trainer = Trainer(place)
        random = np.random.default_rng(1)
        for _ in range(3):
            feeds = {}
            for name, one in (trainer.manifest.inputs | trainer.manifest.targets).items():
                whole = np.dtype(one.kind).kind == "i"
                given = random.integers(0, 3, one.shape) if whole else random.normal(size=one.shape)
                feeds[name] = given.astype(one.kind)
            trainer.step(feeds)
        states.append(trainer.tensors())
    for name, value in states[0].items():
        assert np.allclose(states[1][name], value, rtol=1e-6, atol=1e-7), name


def test_less_is_kept_and_products_are_not_done_again() -> None:
    graph = gated()
    trained = [name for name in graph.constants if name.endswith(("weight", "bias"))]
    plain = compile_training(graph, trained, Recipe(4))
    # Forward names are those that the graph for judging has, too.
    forward = {name for node in plain.forward.nodes for name in node.outputs} - set(plain.forward.outputs)
    again = recomputed(plain.step, forward)
    assert kept_bytes(again, forward) < 0.75 * kept_bytes(plain.step, forward)

    def convolutions(one: Graph) -> int:
        return sum(node.op in ("Conv", "MatMul", "Gemm") for node in one.nodes)

    assert convolutions(again) == convolutions(plain.step)


def test_many_small_tensors_can_be_trained(tmp_path: Path) -> None:
    """Their lengths are a list long enough for the file of weights, where onnxruntime would not find it in time."""
    graph = Graph(outputs=["y"])
    build = Builder(graph, "net")
    graph.inputs["x"] = (("n", 4), FLOAT)
    x = "x"
    for number in range(150):
        graph.constants[f"{number}.bias"] = np.full(4, 0.01, FLOAT)
        x = build.add("Add", x, f"{number}.bias")
    graph.constants["head.weight"] = RANDOM.normal(size=(4, 3)).astype(FLOAT)
    build.add("MatMul", x, "head.weight", out="y")
    onnx_file.write(graph, tmp_path / "net.onnx")
    save(compile_training(graph, list(graph.constants), Recipe(2)), tmp_path / "p", Origin(tmp_path / "net.onnx", "x"))
    trainer = Trainer(tmp_path / "p")
    loss = trainer.step({"x": np.ones((2, 4), FLOAT), "labels": np.array([0, 1])})
    assert np.isfinite(loss)
    assert (trainer.tensors()["7.bias"] != 0.01).any()
