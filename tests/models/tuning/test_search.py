"""The search for a scheme: its pure parts against exhaustive search, and the command with real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.tuning.networks import Llama, llama, mobilenet
from kinflow.main import run as kinflow
from models.tuning.layers import layers
from models.tuning.resolve import resolve
from models.tuning.search.cost import Cost, Costs, fitted, quantities
from models.tuning.search.evolution import Gains, evolve
from models.tuning.search.space import MOST_GROUPS, Choice, Space, space_of
from tests.models.tuning.small import network, stripes

ROOT = Path(__file__).resolve().parents[3]
DEADLINE_S = 50.0
CNN = space_of(resolve(mobilenet(classes=4, size=32), 2), "classification")
LM = space_of(resolve(llama(Llama(vocabulary=24, width=16, layers=5, heads=2, hidden=24, places=6)), 2), "language")


def test_a_space_holds_what_is_worth_training_and_each_tensor_once() -> None:
    graph = mobilenet(classes=4, size=32)
    assert set(CNN.always.tensors) == {"classifier.weight", "classifier.bias"}
    kinds = {one.weight: one.kind for one in layers(graph)}
    trained = [name for part in CNN.groups for name in part.tensors]
    assert len(trained) == len(set(trained))
    assert set(trained) == {name for name, kind in kinds.items() if kind != "depthwise"} - {"classifier.weight"}
    assert len(CNN.groups) == MOST_GROUPS
    for smaller, larger in zip(CNN.biases, CNN.biases[1:], strict=False):
        assert set(smaller.tensors) < set(larger.tensors)
    # A language model's head is one more group, since it is as large as all words.
    assert not LM.always.tensors
    assert any("head.weight" in part.tensors for part in LM.groups)
    every = Choice(len(CNN.biases) - 1, frozenset(range(len(CNN.groups))))
    assert len(set(CNN.tensors(every))) == len(CNN.tensors(every))


def test_the_products_of_layers_are_those_of_their_shapes() -> None:
    sizes = dict(zip((one.weight for one in layers(mobilenet(classes=4, size=32))), CNN.sizes, strict=True))
    # 1 x 1 from 8 to 48 channels on 8 x 8 places, two pictures; the classifier of 1280 numbers.
    assert sizes["blocks.2.expand.weight"].products == 2 * 8 * 48 * 8 * 8
    assert sizes["blocks.2.expand.weight"].read == 4 * 2 * 8 * 8 * 8
    assert sizes["classifier.weight"].products == 2 * 1280 * 4


@given(
    st.lists(st.floats(0, 5), min_size=3, max_size=4),
    st.lists(st.lists(st.floats(0.1, 9), min_size=4, max_size=4), min_size=6, max_size=12),
)
def test_factors_that_made_the_figures_explain_them(factors: list[float], rows: list[list[float]]) -> None:
    matrix = np.array(rows)[:, : len(factors)]
    found = fitted(list(matrix), list(matrix @ np.array(factors)))
    assert (found >= 0).all()
    assert np.allclose(matrix @ found, matrix @ np.array(factors), atol=1e-6)


def test_more_trained_costs_more_and_what_was_measured_is_believed() -> None:
    few, many = Choice(0, frozenset({15})), Choice(0, frozenset({0, 15}))
    for one in (0, 1):
        assert (quantities(CNN, few, 2)[one] <= quantities(CNN, many, 2)[one]).all()
    measured = {Choice(): Cost(2.0, 20.0), few: Cost(3.0, 22.0), many: Cost(9.0, 40.0)}
    costs = Costs(CNN, 2, measured)
    assert costs(many) == Cost(9.0, 40.0)
    between = costs(Choice(0, frozenset({7, 15})))
    assert 2.0 <= between.step_ms <= 9.5
    assert 20.0 <= between.memory_mb <= 41.0


@settings(max_examples=15)
@given(
    st.lists(st.floats(-1, 5), max_size=3),
    st.lists(st.tuples(st.floats(-1, 5), st.floats(0.1, 4), st.floats(0.1, 4)), max_size=7),
    st.floats(0, 12),
    st.floats(0, 12),
)
def test_evolution_finds_what_exhaustive_search_finds(
    biases: list[float], groups: list[tuple[float, float, float]], step_ms: float, memory_mb: float
) -> None:
    gains = Gains(dict(enumerate(biases)), {number: one[0] for number, one in enumerate(groups)})
    budget = Cost(step_ms, memory_mb)

    def cost(choice: Choice) -> Cost:
        rows = [groups[one] for one in choice.groups]
        deep = 0.0 if choice.biases < 0 else 0.5 * (1 + choice.biases)
        return Cost(0.2 + deep + sum(one[1] for one in rows), 0.3 + deep + sum(one[2] for one in rows))

    sets = chain.from_iterable(combinations(range(len(groups)), count) for count in range(len(groups) + 1))
    every = [Choice(number, frozenset(one)) for one in sets for number in range(-1, len(biases))]
    best = max((gains.of(one) for one in every if cost(one).fits(budget)), default=None)
    ranked = evolve(gains, cost, budget)
    assert all(cost(one).fits(budget) for one in ranked)
    assert (gains.of(ranked[0]) if ranked else None) == (None if best is None else pytest.approx(best))
    assert evolve(gains, cost, budget) == ranked


@pytest.fixture
def place(tmp_path: Path) -> Path:
    network(tmp_path / "net.onnx")
    stripes(tmp_path / "data", count=15)
    return tmp_path


def asked(place: Path, *more: object) -> list[str]:
    given = ["tune", "search", place / "net.onnx", "--data", place / "data", "--out", place / "mine.toml"]
    return [str(one) for one in (*given, "--rate", 0.01, "--minutes", 0.3, *more)]


def test_a_search_finds_a_scheme_that_trains(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kinflow(asked(place, "--memory", "900MB", "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["whole"]
    assert told["gain"] > 0
    assert {"head.weight", "head.bias"} < set(told["tensors"])
    tried = {one["name"]: one for one in told["tried"]}
    assert {"the head alone", "conv1.weight", "conv2.weight"} < set(tried)
    # What is written is the best of what was tried, and run takes it.
    assert told["head_loss"] - told["gain"] == pytest.approx(min(one["loss"] for one in told["tried"] if one["loss"]))
    words = ["run", place / "net.onnx", "--data", place / "data", "--out", place / "out", "--epochs", 1, "--json"]
    assert kinflow(["tune", *map(str, words), "--scheme", str(place / "mine.toml")]) == 0
    # Another limit: nothing is tried again, and what is too much is not proposed.
    log = (place / "mine.search" / "tried.jsonl").read_text()
    capsys.readouterr()
    assert kinflow(asked(place, "--memory", "1MB", "--json")) == 254
    assert "KF376" in capsys.readouterr().err
    assert (place / "mine.search" / "tried.jsonl").read_text() == log
    assert kinflow(asked(place, "--seed", 3)) == 254
    assert "KF372" in capsys.readouterr().err


def test_a_search_that_is_stopped_keeps_what_it_found_and_goes_on(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [sys.executable, "-c", "from kinflow.main import main; main()", *asked(place)]
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "biases" in line:
                break
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE_S)
    # 130 when it was caught within; 0 when it had already ended.
    assert process.returncode in (0, 130)
    assert "head.weight" in (place / "mine.toml").read_text()
    log = (place / "mine.search" / "tried.jsonl").read_text().splitlines()
    assert kinflow(asked(place, "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["untried"] == 0
    assert not {json.loads(one)["name"] for one in log[:2]} & {one["name"] for one in told["tried"]}


def test_what_was_made_anew_is_always_trained(tmp_path: Path) -> None:
    from models.tuning import onnx_file  # noqa: PLC0415

    graph = onnx_file.read(network(tmp_path / "net.onnx"))
    found: Space = space_of(resolve(graph, 2), "classification", ("conv2.weight",))
    assert found.always.tensors == ("head.weight", "head.bias", "conv2.weight")
    assert [one.tensors for one in found.groups] == [("conv1.weight",)]
    assert set(found.tensors(Choice())) == set(found.always.tensors)
