"""Which tensors a scheme chooses, and that a scheme which names what isn't there is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.tuning.networks import Llama, llama, mobilenet
from models.errors import SchemeEmpty, SchemeUnknown, SchemeUnreadable
from models.tuning.adapters import with_adapters
from models.tuning.compiler import Recipe, compile_training, gradient_graph
from models.tuning.layers import layers
from models.tuning.schemes import NAMES, choose
from models.tuning.state import taken
from tests.models.tuning.doubles import Evaluator

CNN = mobilenet(classes=4, size=32)
LM = llama(Llama(vocabulary=24, width=16, layers=5, heads=2, hidden=24, places=6))


def test_layers_are_told_by_what_they_are() -> None:
    found = layers(CNN)
    assert [one.kind for one in found[:4]] == ["kernel", "depthwise", "pointwise", "pointwise"]
    assert [one.weight for one in found if one.is_last] == ["classifier.weight"]
    assert all(len(one.vectors) == 1 for one in found)
    kinds = {one.weight: one.kind for one in layers(LM)}
    assert kinds["embedding.weight"] == "embedding"
    assert {kind for name, kind in kinds.items() if "layers" in name} == {"dense"}


def test_what_each_scheme_trains_in_a_convolutional_network() -> None:
    chosen = {name: set(choose(CNN, name).tensors) for name in NAMES if name != "lora"}
    head = {"classifier.weight", "classifier.bias"}
    biases = {name for name in CNN.constants if name.endswith("bias")}
    assert chosen["head"] == head
    assert chosen["bias-only"] == biases | head
    assert chosen["full"] == {name for name in CNN.constants if name.endswith(("bias", "weight"))}
    weights = {name for name in chosen["deep"] if name.endswith("weight")} - {"classifier.weight"}
    assert weights
    assert all(name.endswith("expand.weight") for name in weights)
    assert "blocks.16.expand.weight" in weights
    assert "blocks.1.expand.weight" not in weights
    assert head < chosen["deep"] < chosen["full"]


def test_what_each_scheme_trains_in_a_language_model() -> None:
    deep = set(choose(LM, "deep", "language").tensors)
    matrices = [f"attention.{one}" for one in "qkvo"] + [f"feed.{one}" for one in ("gate", "up", "down")]
    assert {f"layers.4.{one}.weight" for one in (*matrices, "attention_norm", "feed_norm")} <= deep
    assert not any(f"layers.{early}." in name for early in range(3) for name in deep)
    lora = choose(LM, "lora", "language")
    assert not lora.tensors
    assert len(lora.adapters) == 5 * 7


def test_a_head_as_large_as_a_vocabulary_is_left_where_it_is_one_part_of_a_scheme() -> None:
    bytes_, words = (
        llama(Llama(vocabulary=count, width=64, layers=2, heads=2, hidden=96, places=6)) for count in (256, 2000)
    )
    for name in ("deep", "bias-only"):
        assert "head.weight" in choose(bytes_, name, "language").tensors
        assert "head.weight" not in choose(words, name, "language").tensors
    assert choose(words, "head", "language").tensors == ("head.weight",)


@pytest.mark.parametrize("name", NAMES)
def test_every_scheme_compiles(name: str) -> None:
    scheme = choose(LM, name, "language", rank=2)
    graph, merges = with_adapters(LM, scheme.adapters)
    trained = [*scheme.tensors, *(part for one in merges for part in (one.down, one.up))]
    program = compile_training(graph, trained, Recipe(2, "language"))
    assert {one.tensor for one in program.places} == set(trained)


def test_an_adapter_that_starts_at_zero_changes_nothing_and_merges_exactly() -> None:
    scheme = choose(LM, "lora", "language", rank=2)
    graph, merges = with_adapters(LM, scheme.adapters)
    trained = [part for one in merges for part in (one.down, one.up)]
    random = np.random.default_rng(0)
    feeds = {"tokens": random.integers(0, 24, (2, 6)), "labels": random.integers(0, 24, (2, 6))}
    adapted, state, places = gradient_graph(graph, trained, Recipe(2, "language"))
    plain, own, _ = gradient_graph(LM, ["norm.weight", "head.weight"], Recipe(2, "language"))
    loss = Evaluator(plain)({**feeds, **own})["loss"]
    assert Evaluator(adapted)({**feeds, **state})["loss"] == pytest.approx(loss, rel=1e-12)
    moved = {name: one + random.normal(size=one.shape) * 0.1 for name, one in state.items()}
    merged = LM.copy()
    parts = taken(places, moved)
    for one in merges:
        change = one.scale * parts[one.down] @ parts[one.up]
        merged.constants[one.weight] = (LM.constants[one.weight] + change).astype(np.float32)
    plain, own, _ = gradient_graph(merged, ["norm.weight", "head.weight"], Recipe(2, "language"))
    loss = Evaluator(plain)({**feeds, **own})["loss"]
    assert Evaluator(adapted)({**feeds, **moved})["loss"] == pytest.approx(loss, rel=1e-5)


def test_a_scheme_file_chooses_by_patterns(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('tensors = ["classifier.*", "blocks.16.expand.weight"]\n')
    scheme = choose(CNN, str(path))
    assert (scheme.name, set(scheme.tensors)) == (
        "own",
        {"classifier.weight", "classifier.bias", "blocks.16.expand.weight"},
    )
    path.write_text('name = "q"\n[lora]\ntensors = ["layers.*.attention.q.weight"]\nrank = 3\n')
    scheme = choose(LM, str(path), "language")
    assert [one.rank for one in scheme.adapters] == [3] * 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('tensors = ["blocks.99.expand.weight"]', r"no tensor 'blocks.99.expand.weight' \(the nearest is blocks"),
        ('tensors = ["nothing.*"]', "no tensor"),
        ('tensors = "classifier.bias"', "no list"),
        ('tensor = ["classifier.bias"]', "nothing reads"),
        ("tensors = [", "Invalid|Unclosed|expected"),
        ('tensors = ["classifier.weight"]\n[lora]\ntensors = ["classifier.weight"]', "both"),
        ('[lora]\ntensors = ["classifier.weight"]\nrank = 0', "at least 1"),
        ('tensors = ["classifier.weight"]\npieces = 0', "at least 1 piece"),
        ('tensors = ["classifier.weight"]\npieces = "many"', "invalid literal"),
    ],
)
def test_a_scheme_file_that_does_not_fit_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(SchemeUnreadable, match=said):
        choose(CNN, str(path))


def test_what_chooses_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemeUnknown, match="deep"):
        choose(CNN, "dep")
    with pytest.raises(SchemeEmpty):
        choose(CNN, "lora")
    with pytest.raises(SchemeUnreadable):
        choose(CNN, str(tmp_path / "missing.toml"))
    (tmp_path / "empty.toml").write_text("")
    with pytest.raises(SchemeEmpty):
        choose(CNN, str(tmp_path / "empty.toml"))
