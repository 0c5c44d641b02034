"""Whole graphs: a compiled step is the step that the mathematics says, on the float64 reference and on onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.tuning.networks import Llama, llama, mobilenet
from models.errors import BatchUnfit, LossUnfit, ModelNewer, ModelUntrainable, OperatorUnknown, SchemeEmpty, WorkerLost
from models.tuning import measuring, onnx_file
from models.tuning.bundle import load_manifest, save_manifest
from models.tuning.bundling import Origin, save
from models.tuning.compiler import Recipe, compile_training, gradient_graph
from models.tuning.graph import Array, Builder, Graph
from models.tuning.int8 import rounded
from models.tuning.losses import entropy
from models.tuning.optimizers import Optimizer
from models.tuning.schemes import choose
from models.tuning.trainer import Trainer
from tests.models.tuning.doubles import Evaluator

RANDOM = np.random.default_rng(3)
SMALL = Llama(vocabulary=24, width=16, layers=2, heads=2, hidden=24, places=6)


def perceptron(softmax: bool = False) -> Graph:
    graph = Graph(outputs=["y"])
    build = Builder(graph, "net")
    graph.inputs["x"] = (("n", 6), np.dtype(np.float32))
    for name, shape in (("a", (6, 8)), ("ab", (8,)), ("b", (8, 3)), ("bb", (3,))):
        graph.constants[name] = (RANDOM.normal(size=shape) * 0.5).astype(np.float32)
    hidden = build.add("Tanh", build.add("Gemm", "x", "a", "ab"))
    logits = build.add("Gemm", hidden, "b", "bb", out="raw" if softmax else "y")
    if softmax:
        build.add("Softmax", logits, out="y", axis=-1)
    return graph


def batch(graph: Graph, count: int, classes: int, places: int = 0) -> dict[str, Array]:
    feeds: dict[str, Array] = {}
    for name, (dims, kind) in graph.inputs.items():
        shape = (count, *(int(str(one)) for one in dims[1:]))
        feeds[name] = RANDOM.normal(size=shape).astype(kind) if kind.kind == "f" else RANDOM.integers(0, classes, shape)
    feeds["labels"] = RANDOM.integers(0, classes, (count, places) if places else (count,))
    return feeds


def weights_of(graph: Graph) -> list[str]:
    return [name for name, one in graph.constants.items() if name.endswith(("weight", "bias"))]


@pytest.mark.parametrize("kind", ["mobilenet", "llama"])
def test_gradients_of_whole_networks_are_what_differences_say(kind: str) -> None:
    if kind == "llama":
        graph, classes, places, loss = llama(SMALL), 24, 6, "language"
    else:
        graph, classes, places, loss = mobilenet(classes=4, size=32), 4, 0, "classification"
    feeds = batch(graph, 2, classes, places)
    feeds["labels"].reshape(-1)[0] = -1  # one that doesn't count
    compiled, state, _ = gradient_graph(graph, weights_of(graph), Recipe(2, loss))
    evaluate = Evaluator(compiled)
    found = evaluate({**feeds, **state})
    # Evaluation in NumPy takes its time: the packed small ones, and of the others a few.
    for name in [*state][:: max(len(state) // 6, 1)]:
        value = state[name]
        direction = RANDOM.normal(size=value.shape)
        direction /= np.linalg.norm(direction)
        ahead, behind = (
            float(evaluate({**feeds, **state, name: value.astype(np.float64) + sign * 1e-6 * direction})["loss"])
            for sign in (1, -1)
        )
        expected = (ahead - behind) / 2e-6
        gradient = found[f"gradient.{name}"]
        assert float((gradient * direction).sum()) == pytest.approx(
            expected, rel=1e-4, abs=1e-6 * np.linalg.norm(gradient)
        )


def test_onnxruntime_gives_the_gradients_of_double_precision() -> None:
    import onnxruntime  # noqa: PLC0415

    graph = llama(SMALL)
    feeds = batch(graph, 2, 24, 6)
    compiled, state, _ = gradient_graph(graph, weights_of(graph), Recipe(2, "language"))
    exact = Evaluator(compiled)({**feeds, **state})
    session = onnxruntime.InferenceSession(
        onnx_file.to_model(compiled).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = dict(zip(compiled.outputs, session.run(None, {**feeds, **state}), strict=True))
    for name, value in exact.items():
        assert np.abs(found[name] - value).max() <= 1e-5 * np.abs(value).max(), name


def trained(tmp_path: Path, graph: Graph, names: Sequence[str], recipe: Recipe) -> Trainer:
    base = tmp_path / "base.onnx"
    onnx_file.write(graph, base)
    save(compile_training(onnx_file.read(base), names, recipe), tmp_path / "program", Origin(base, "test"))
    return Trainer(tmp_path / "program")


def by_hand(graph: Graph, batches: Sequence[dict[str, Array]], update: str, rate: float, clip: float) -> list[float]:
    """The perceptron's training in float64, written out; Adam and momentum as torch has them."""
    w = {name: one.astype(np.float64) for name, one in graph.constants.items()}
    first, second = ({name: np.zeros_like(one) for name, one in w.items()} for _ in range(2))
    losses = []
    for step, feeds in enumerate(batches, 1):
        x, labels = feeds["x"].astype(np.float64), feeds["labels"]
        hidden = np.tanh(x @ w["a"] + w["ab"])
        logits = hidden @ w["b"] + w["bb"]
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        losses.append(float(-np.log(p[np.arange(len(x)), labels]).mean()))
        p[np.arange(len(x)), labels] -= 1
        p /= len(x)
        back = (p @ w["b"].T) * (1 - hidden**2)
        g = {"b": hidden.T @ p, "bb": p.sum(0), "a": x.T @ back, "ab": back.sum(0)}
        if clip:
            norm = np.sqrt(sum((one**2).sum() for one in g.values()))
            g = {name: one * min(1.0, clip / (norm + 1e-6)) for name, one in g.items()}
        for name, one in g.items():
            if update == "sgd":
                w[name] -= rate * one
            elif update == "momentum":
                first[name] = 0.9 * first[name] + one
                w[name] -= rate * first[name]
            else:
                first[name] = 0.9 * first[name] + 0.1 * one
                second[name] = 0.999 * second[name] + 0.001 * one**2
                mean, square = first[name] / (1 - 0.9**step), second[name] / (1 - 0.999**step)
                w[name] -= rate * mean / (np.sqrt(square) + 1e-8)
    return losses


@pytest.mark.parametrize("clip", [0.0, 0.05])
@pytest.mark.parametrize(("update", "rate"), [("sgd", 0.1), ("momentum", 0.05), ("adam", 0.02)])
def test_two_hundred_steps_are_those_of_the_mathematics(tmp_path: Path, update: str, rate: float, clip: float) -> None:
    graph = perceptron()
    batches = [batch(graph, 5, 3) for _ in range(10)] * 20
    trainer = trained(tmp_path, graph, ["a", "ab", "b", "bb"], Recipe(5, optimizer=Optimizer(update, rate), clip=clip))
    found = [trainer.step(feeds) for feeds in batches]
    assert found == pytest.approx(by_hand(graph, batches, update, rate, clip), rel=1e-4)


def test_a_softmax_at_the_end_changes_nothing(tmp_path: Path) -> None:
    plain = perceptron()
    ended = perceptron(softmax=True)
    ended.constants |= plain.constants
    feeds = batch(plain, 4, 3)
    losses = []
    for name, graph in (("plain", plain), ("ended", ended)):
        (tmp_path / name).mkdir()
        trainer = trained(tmp_path / name, graph, ["a", "bb"], Recipe(4))
        losses.append([trainer.step(feeds) for _ in range(5)])
    assert losses[0] == losses[1]
    assert losses[0][-1] < losses[0][0]


@pytest.mark.parametrize("update", ["sgd", "adam"])
def test_accumulated_gradients_are_those_of_the_whole_batch(tmp_path: Path, update: str) -> None:
    graph = perceptron()
    whole = batch(graph, 8, 3)
    halves = [{name: one[part] for name, one in whole.items()} for part in (slice(4), slice(4, 8))]
    ends = []
    for name, count, every, feeds in (("whole", 8, 1, [whole]), ("halves", 4, 2, halves)):
        (tmp_path / name).mkdir()
        recipe = Recipe(count, optimizer=Optimizer(update, 0.05), accumulate=every, clip=0.5)
        trainer = trained(tmp_path / name, graph, ["a", "ab", "b"], recipe)
        for one in feeds * 6:
            trainer.step(one)
        ends.append(trainer.tensors())
    for name in ("a", "ab", "b"):
        np.testing.assert_allclose(ends[0][name], ends[1][name], rtol=1e-4, atol=1e-6)


def test_what_is_not_trained_stays_constant_and_nothing_leads_to_it() -> None:
    graph = mobilenet(classes=4, size=32)
    program = compile_training(graph, ["classifier.weight", "classifier.bias"], Recipe(2))
    # Forward once, no convolution back.
    assert sum(node.op == "Conv" for node in program.step.nodes) == sum(node.op == "Conv" for node in graph.nodes)
    assert "stem.weight" in program.step.constants
    assert {one.tensor for one in program.places} == {"classifier.weight", "classifier.bias"}


def test_a_loss_that_is_no_number_changes_nothing(tmp_path: Path) -> None:
    graph = perceptron()
    trainer = trained(tmp_path, graph, ["a", "b"], Recipe(4))
    feeds = batch(graph, 4, 3)
    trainer.step(feeds)
    before = trainer.tensors()
    assert not np.isfinite(trainer.step({**feeds, "x": feeds["x"] * np.float32(np.nan)}))
    after = trainer.tensors()
    assert all((before[name] == after[name]).all() for name in before)
    assert trainer.steps_done == 1


def test_a_saved_state_goes_on_exactly(tmp_path: Path) -> None:
    graph = perceptron()
    trainer = trained(tmp_path, graph, ["a", "ab", "b"], Recipe(4, optimizer=Optimizer("adam", 0.05)))
    batches = [batch(graph, 4, 3) for _ in range(8)]
    for feeds in batches[:4]:
        trainer.step(feeds)
    state = trainer.state()
    straight = [trainer.step(feeds) for feeds in batches[4:]]
    again = Trainer(tmp_path / "program")
    again.restore(state, 4)
    assert [again.step(feeds) for feeds in batches[4:]] == straight


def test_frozen_matrices_of_eight_bits_train_as_the_exact_ones_nearly_do(tmp_path: Path) -> None:
    form = Llama(vocabulary=200, width=128, layers=3, heads=4, hidden=160, places=8)
    graph = llama(form)
    names = choose(graph, "deep", "language").tensors
    feeds = batch(graph, 2, 200, 8)
    changes = []
    for int8 in (False, True):
        (tmp_path / str(int8)).mkdir()
        recipe = Recipe(2, "language", Optimizer("sgd", 1.0), int8=int8)
        program = compile_training(graph, names, recipe)
        quick = [node for node in program.step.nodes if node.op == "DynamicQuantizeMatMul"]
        assert bool(quick) == int8
        assert not any(node.op == "DynamicQuantizeMatMul" for node in program.forward.nodes)
        # Trained ones too, each once for both ways, with what they are in this step.
        rounded_now = [node for node in program.step.nodes if node.op == "QuantizeLinear"]
        assert bool(rounded_now) == int8
        trainer = trained(tmp_path / str(int8), graph, names, recipe)
        before = trainer.tensors()
        trainer.step(feeds)
        after = trainer.tensors()
        changes.append(np.concatenate([(after[name] - before[name]).reshape(-1) for name in sorted(after)]))
    exact, near = changes
    assert (exact * near).sum() / np.linalg.norm(exact) / np.linalg.norm(near) > 0.98
    assert not np.array_equal(exact, near)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_eight_bits_are_off_by_half_a_step_at_most(rows: int, columns: int, seed: int) -> None:
    value = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    whole, scale = rounded(value)
    assert np.abs(whole * scale - value).max(initial=0) <= scale.max() * 0.501
    assert (np.abs(whole - value / scale) <= 0.501).all()


def test_either_order_of_execution_learns_the_same_and_the_one_that_needs_less_is_kept(tmp_path: Path) -> None:
    form = Llama(vocabulary=200, width=64, layers=3, heads=4, hidden=96, places=16)
    graph = llama(form)
    names, feeds = choose(graph, "deep", "language").tensors, batch(graph, 2, 200, 16)
    learnt = []
    for order in ("default", "priority"):
        (tmp_path / order).mkdir()
        trained(tmp_path / order, graph, names, Recipe(2, "language", Optimizer("adam", 0.01)))
        program = tmp_path / order / "program"
        save_manifest(program, msgspec.structs.replace(load_manifest(program), order=order))
        trainer = Trainer(program)
        losses = [trainer.step(feeds) for _ in range(5)]
        learnt.append((losses, trainer.state()))
    (losses, state), (others, other) = learnt
    assert losses == others
    assert all(np.array_equal(state[name], other[name]) for name in state)


@pytest.mark.parametrize("tied", [False, True])
def test_a_frozen_head_in_pieces_is_the_head(tied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = llama(SMALL)
    if tied:
        head = graph.nodes[-1]
        del graph.constants[head.inputs[1]]
        head.inputs[1] = Builder(graph, "tied").add("Transpose", "embedding.weight", perm=[1, 0])
        graph.nodes = [graph.nodes[-1], *graph.nodes[:-1]]
    names = [name for name in weights_of(graph) if name.startswith("layers.")]
    feeds = batch(graph, 3, 24, 6)
    feeds["labels"].reshape(-1)[:7] = -1
    found = []
    for rows in (5, 18):
        monkeypatch.setattr(entropy, "_LEAST_ROWS", rows)
        monkeypatch.setattr(entropy, "_PIECE_NUMBERS", 1)
        compiled, state, _ = gradient_graph(graph, names, Recipe(3, "language"))
        # One for each block's attention, and one for each piece: of 5, 5, 5 and 3 rows.
        assert sum(node.op == "Softmax" for node in compiled.nodes) == SMALL.layers + (4 if rows == 5 else 1)
        found.append(Evaluator(compiled)({**feeds, **state}))
    pieces, whole = found
    for name, value in whole.items():
        assert np.allclose(pieces[name], value, rtol=1e-9, atol=1e-12), name


def test_the_order_of_execution_that_needs_less_memory_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = perceptron()
    trained(tmp_path, graph, ["a"], Recipe(2))
    program = tmp_path / "program"
    taken = {"default": (100.0, 10.0), "priority": (80.0, 11.0)}

    def measured(folder: Path, *_: int) -> dict[str, float]:
        memory, step_ms = taken[load_manifest(folder).order]
        return {"rss_over_import_mb": memory, "step_ms": step_ms}

    monkeypatch.setattr(measuring, "measured", measured)
    measuring.settle_order(program)
    assert load_manifest(program).order == "priority"
    for worse in ((99.0, 10.0), (50.0, 20.0)):
        save_manifest(program, msgspec.structs.replace(load_manifest(program), order="default"))
        taken["priority"] = worse
        measuring.settle_order(program)
        assert load_manifest(program).order == "default"
    taken.clear()
    monkeypatch.setattr(measuring, "measured", lost)
    measuring.settle_order(program)
    assert load_manifest(program).order == "default"


def test_steps_that_take_too_long_are_told_as_a_lost_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(tmp_path, perceptron(), ["a"], Recipe(2))
    monkeypatch.setattr(measuring, "_PATIENCE_S", 0.001)
    with pytest.raises(WorkerLost, match="more than"):
        measuring.measured(tmp_path / "program", 3, 1)


def lost(*_: object) -> dict[str, float]:
    raise WorkerLost(detail="no memory")


def test_a_token_that_was_held_impossible_has_a_finite_loss(tmp_path: Path) -> None:
    graph = perceptron()
    graph.constants["bb"] = np.array([0.0, 500.0, 0.0], np.float32)
    trainer = trained(tmp_path, graph, ["a", "bb"], Recipe(2, optimizer=Optimizer("sgd", 1.0)))
    feeds = batch(graph, 2, 3) | {"labels": np.array([0, 0])}
    assert 80 < trainer.step(feeds) < 90
    assert trainer.tensors()["bb"][0] == pytest.approx(1.0, abs=1e-5)


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    graph = perceptron()
    with pytest.raises(SchemeEmpty):
        compile_training(graph, [], Recipe(2))
    with pytest.raises(SchemeEmpty, match="nowhere"):
        compile_training(graph, ["nowhere"], Recipe(2))
    with pytest.raises(LossUnfit, match="language"):
        compile_training(graph, ["a"], Recipe(2, "language"))
    bare = graph.copy()
    bare.inputs["x"] = (("n", "wide"), np.dtype(np.float32))
    with pytest.raises(BatchUnfit, match="wide"):
        compile_training(bare, ["a"], Recipe(2))
    assert compile_training(bare, ["a"], Recipe(2, sizes={"wide": 6})).inputs["x"].shape == (2, 6)
    with pytest.raises(BatchUnfit, match="does not run"):
        compile_training(bare, ["a"], Recipe(2, sizes={"wide": 7}))


def test_an_operator_without_a_rule_is_named_with_its_place_and_only_when_it_is_in_the_way() -> None:
    graph = perceptron()
    tanh = next(node for node in graph.nodes if node.op == "Tanh")
    tanh.op, tanh.name = "Atan", "middle/Atan"
    with pytest.raises(OperatorUnknown, match=r"Atan at 'middle/Atan'"):
        compile_training(graph, ["a"], Recipe(2))
    compile_training(graph, ["b"], Recipe(2))


def test_a_newer_file_and_one_with_two_of_a_name_are_refused(tmp_path: Path) -> None:
    import onnx  # noqa: PLC0415

    graph = perceptron()
    model = onnx_file.to_model(graph)
    model.opset_import[0].version = onnx_file.NEWEST + 1
    with pytest.raises(ModelNewer):
        onnx_file.from_model(model)
    graph.nodes[-1].outputs = [graph.nodes[0].outputs[0]]
    with pytest.raises(ModelUntrainable, match="the name"):
        onnx_file.from_model(onnx_file.to_model(graph))
    assert onnx.__version__


def test_a_file_of_an_older_opset_is_raised(tmp_path: Path) -> None:
    graph = perceptron(softmax=True)
    model = onnx_file.to_model(graph)
    model.opset_import[0].version = 13
    assert onnx_file.from_model(model).opset == onnx_file.OLDEST
