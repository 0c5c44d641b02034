"""A network that was cut learns what the whole one learns, and is cut only where that is sure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.tuning.networks import Llama, llama, mobilenet
from models.tuning import onnx_file
from models.tuning.bundling import Origin, save
from models.tuning.compiler import Recipe, compile_training
from models.tuning.graph import Array, Builder, Graph
from models.tuning.keeping import Prefix
from models.tuning.optimizers import Optimizer
from models.tuning.schemes import choose
from models.tuning.trainer import Trainer

SMALL = Llama(vocabulary=24, width=16, layers=4, heads=2, hidden=24, places=6)
BATCH = 3
LAST_BLOCK = [f"layers.3.attention.{one}.weight" for one in "qkv"]
NETWORKS = {
    "mobilenet": (lambda: mobilenet(classes=4, size=32), "classification"),
    "llama": (lambda: llama(SMALL), "language"),
}


def feeds_of(graph: Graph, loss: str, seed: int = 0) -> dict[str, Array]:
    random: np.random.Generator = np.random.default_rng(seed)
    ((name, (dims, kind)),) = graph.inputs.items()
    shape = (BATCH, *(int(str(one)) for one in dims[1:]))
    x: Array = random.normal(size=shape).astype(kind) if kind.kind == "f" else random.integers(0, 24, shape)
    return {name: x, "labels": random.integers(0, 4, shape if loss == "language" else (BATCH,))}


def trained_losses(graph: Graph, names: tuple[str, ...], recipe: Recipe, folder: Path) -> tuple[list[float], Trainer]:
    """Of eight steps over two batches, and then of judging."""
    onnx_file.write(graph, folder.with_suffix(".onnx"))
    save(compile_training(graph, names, recipe), folder, Origin(folder.with_suffix(".onnx"), "mine"))
    trainer = Trainer(folder)
    batches = [feeds_of(graph, recipe.loss, seed) for seed in (1, 2)]
    if trainer.manifest.kept:
        prefix = Prefix(folder, trainer.manifest)
        # The inputs themselves are wanted no longer.
        batches = [{"labels": one["labels"], **prefix(one)} for one in batches]
    losses = [trainer.step(batches[number % 2]) for number in range(8)]
    return [*losses, *(float(trainer.evaluate(one)["loss"]) for one in batches)], trainer


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("scheme", ["head", "last-k", "deep", "bias-only", "full"])
def test_it_learns_what_the_whole_network_learns(kind: str, scheme: str, tmp_path: Path) -> None:
    network, loss = NETWORKS[kind]
    graph = network()
    names = choose(graph, scheme, loss).tensors
    recipe = Recipe(BATCH, loss, Optimizer("momentum", 0.05), clip=1.0)
    whole, one = trained_losses(graph, names, recipe, tmp_path / "whole")
    parted, other = trained_losses(graph, names, Recipe(**{**vars(recipe), "cut": True}), tmp_path / "cut")
    assert not one.manifest.kept
    # Before the first norm there are no products, and before the first bias there is one.
    nothing_before = scheme == "full" or (scheme == "bias-only" and kind == "llama")
    assert bool(other.manifest.kept) == (not nothing_before)
    assert parted == pytest.approx(whole, rel=2e-4)
    for name, value in one.tensors().items():
        assert np.allclose(other.tensors()[name], value, rtol=1e-2, atol=1e-3 * np.abs(value).max()), name


@pytest.mark.parametrize("more", [{"int8": True}, {"recompute": True}, {"accumulate": 2}])
def test_it_goes_together_with_what_else_a_program_can_be(more: dict[str, object], tmp_path: Path) -> None:
    graph = llama(Llama(vocabulary=24, width=128, layers=3, heads=2, hidden=160, places=6))
    names = choose(graph, "deep", "language").tensors
    recipe = Recipe(BATCH, "language", Optimizer("adam", 0.01), **more)  # type: ignore[arg-type]
    whole, _ = trained_losses(graph, names, recipe, tmp_path / "whole")
    parted, other = trained_losses(graph, names, Recipe(**{**vars(recipe), "cut": True}), tmp_path / "cut")
    assert other.manifest.kept
    # Eight bits are for what runs in each step; what is kept is exact.
    assert parted == pytest.approx(whole, rel=0.1 if "int8" in more else 2e-4)


def test_of_a_norm_and_what_it_is_made_from_one_is_kept() -> None:
    graph = llama(SMALL)
    program = compile_training(graph, LAST_BLOCK, Recipe(BATCH, "language", cut=True))
    (spec,) = program.kept.values()
    assert spec.shape == (BATCH, SMALL.places, SMALL.width)
    # Where keys are frozen and queries are not, both have to do with the norm: it stands on either side.
    apart = compile_training(graph, LAST_BLOCK[:1], Recipe(BATCH, "language", cut=True))
    assert len(apart.kept) == 3
    assert all(spec.size == BATCH * SMALL.places * SMALL.width for spec in apart.kept.values())


def test_the_table_of_words_may_be_the_head_as_well() -> None:
    graph = llama(SMALL)
    last = graph.nodes[-1]
    del graph.constants[last.inputs[1]]
    build = Builder(graph, "tied")
    turned = build.add("Transpose", "embedding.weight", perm=[1, 0])
    graph.nodes = [*graph.nodes[-1:], *graph.nodes[:-1]]
    last.inputs[1] = turned
    program = compile_training(graph, LAST_BLOCK, Recipe(BATCH, "language", cut=True))
    (spec,) = program.kept.values()
    assert spec.shape == (BATCH, SMALL.places, SMALL.width)


def layered(between: str) -> Graph:
    """Two matrices, and `between` them something that concerns the whole batch."""
    graph = Graph(outputs=["y"])
    build = Builder(graph, "net")
    graph.inputs["x"] = (("n", 6), np.dtype(np.float32))
    random = np.random.default_rng(1)
    for name, shape in (("first.weight", (6, 5)), ("second.weight", (5, 5)), ("last.weight", (5, 3))):
        graph.constants[name] = random.normal(size=shape).astype(np.float32)
    x = build.add("MatMul", "x", "first.weight")
    if between == "mean over the batch":
        x = build.add("Sub", x, build.add("ReduceMean", x, axes=[0], keepdims=1))
    elif between == "turned batch":
        x = build.add("Slice", x, build.ints([-1]), build.ints([-(1 << 31)]), build.ints([0]), build.ints([-1]))
    x = build.add("MatMul", x, "second.weight")
    build.add("MatMul", build.add("Tanh", x), "last.weight", out="y")
    return graph


@pytest.mark.parametrize("between", ["nothing", "mean over the batch", "turned batch"])
def test_rows_that_depend_on_others_are_not_kept(between: str) -> None:
    program = compile_training(layered(between), ["last.weight"], Recipe(BATCH, cut=True))
    assert bool(program.kept) == (between == "nothing")
    assert (program.prefix is None) == (not program.kept)


def test_an_output_that_is_frozen_is_still_there(tmp_path: Path) -> None:
    graph = layered("nothing")
    Builder(graph, "more").add("Exp", graph.nodes[-2].inputs[0], out="beside")
    graph.outputs.append("beside")
    onnx_file.write(graph, tmp_path / "net.onnx")
    program = compile_training(graph, ["last.weight"], Recipe(BATCH, cut=True))
    manifest = save(program, tmp_path / "program", Origin(tmp_path / "net.onnx", "mine"))
    feeds = feeds_of(graph, "classification")
    found = Trainer(tmp_path / "program").evaluate(feeds | Prefix(tmp_path / "program", manifest)(feeds))
    before = feeds["x"] @ graph.constants["first.weight"] @ graph.constants["second.weight"]
    assert np.allclose(found["beside"], np.exp(before), rtol=1e-4)


@given(st.integers(0, 24), st.integers(1, 4))
def test_wherever_training_begins_nothing_of_what_is_kept_depends_on_it(place: int, batch: int) -> None:
    graph = mobilenet(classes=4, size=32)
    weights = [name for name in graph.constants if name.endswith("weight")]
    name = weights[place % len(weights)]
    program = compile_training(graph, [name], Recipe(batch, cut=True))
    if program.prefix is None:
        assert name in ("stem.weight", "blocks.0.depthwise.weight")
        return
    assert name not in program.prefix.constants
    assert all(spec.shape[0] == batch for spec in program.kept.values())
    # At most what is added beside a block, and what stands within it.
    assert len(program.kept) <= 2
