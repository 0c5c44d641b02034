"""The search for a scheme: its pure parts against exhaustive search, and the command with real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.tuning.networks import Llama, llama, mobilenet
from kinflow.main import run as kinflow
from models.tuning import onnx_file
from models.tuning.bundle import load_manifest
from models.tuning.data.opening import open_examples
from models.tuning.job import Job
from models.tuning.layers import layers
from models.tuning.resolve import resolve
from models.tuning.search.climbing import NEARLY, last_that_fits, neighbours
from models.tuning.search.cost import Cost, Costs, fitted, quantities
from models.tuning.search.evolution import Gains, evolve
from models.tuning.search.searching import Search, Tried
from models.tuning.search.space import MOST_GROUPS, Choice, Space, space_of
from tests.models.tuning.small import network, stripes

ROOT = Path(__file__).resolve().parents[3]
DEADLINE_S = 50.0
CNN = space_of(resolve(mobilenet(classes=4, size=32), 2), "classification")
LM = space_of(resolve(llama(Llama(vocabulary=100, width=16, layers=5, heads=2, hidden=24, places=6)), 2), "language")


def test_a_space_holds_what_is_worth_training_and_each_tensor_once() -> None:
    graph = mobilenet(classes=4, size=32)
    assert set(CNN.always.tensors) == {"classifier.weight", "classifier.bias"}
    kinds = {one.weight: one.kind for one in layers(graph)}
    trained = [name for part in CNN.groups for name in part.tensors]
    assert len(trained) == len(set(trained))
    assert set(trained) == set(kinds) - {"classifier.weight"}
    # What costs the most is a group of its own.
    *usual, depthwise = CNN.groups
    assert len(usual) == MOST_GROUPS
    assert set(depthwise.tensors) == {name for name, kind in kinds.items() if kind == "depthwise"}
    for smaller, larger in zip(CNN.biases, CNN.biases[1:], strict=False):
        assert set(smaller.tensors) < set(larger.tensors)
    # A language model's head is one more group, since it is as large as all words.
    assert not LM.always.tensors
    assert any("head.weight" in part.tensors for part in LM.groups)
    assert not any("embedding.weight" in part.tensors for part in LM.groups)
    bytes_ = llama(Llama(vocabulary=60, width=16, layers=2, heads=2, hidden=24, places=6))
    assert space_of(resolve(bytes_, 2), "language").groups[-1].tensors == ("embedding.weight",)
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
    measured = {(Choice(), 1): Cost(2.0, 20.0), (few, 1): Cost(3.0, 22.0), (many, 1): Cost(9.0, 40.0)}
    costs = Costs(CNN, 2, measured, Cost(0.0, 0.0))
    assert costs(many) == Cost(9.0, 40.0)
    between = costs(Choice(0, frozenset({7, 15})))
    assert 2.0 <= between.step_ms <= 9.5
    assert 20.0 <= between.memory_mb <= 41.0


def test_a_batch_has_the_fewest_pieces_that_fit_and_each_takes_less_memory() -> None:
    few, many = Choice(0, frozenset({15})), Choice(3, frozenset(range(16)))
    written = [quantities(CNN, many, 2, pieces)[1][1] for pieces in (1, 2, 4)]
    assert written[0] == 2 * written[1] == 4 * written[2]
    measured = {(Choice(), 1): Cost(2.0, 20.0), (few, 1): Cost(3.0, 22.0), (many, 1): Cost(9.0, 90.0)}
    for most_mb, most_pieces in ((100.0, 1), (60.0, 2), (40.0, 4)):
        costs = Costs(CNN, 2, measured, Cost(0.0, most_mb), (1, 2, 4))
        assert costs.pieces(few) == 1
        assert costs.pieces(many) == most_pieces
        assert costs(many).memory_mb <= most_mb
    # What was measured is believed, for these pieces alone.
    costs = Costs(CNN, 2, measured | {(many, 2): Cost(11.0, 70.0)}, Cost(0.0, 60.0), (1, 2, 4))
    assert costs.pieces(many) == 4
    # Pieces take time: where that is what lacks, there are none.
    assert Costs(CNN, 2, measured, Cost(8.0, 100.0), (1, 2, 4)).pieces(many) == 1


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


choices = st.builds(Choice, st.integers(-1, 2), st.frozensets(st.integers(0, 5), max_size=6))


@given(choices, st.dictionaries(st.integers(0, 5), st.floats(-1, 5)), st.floats(0.5, 12))
def test_neighbours_differ_by_one_part_fit_and_come_by_what_they_promise(
    best: Choice, groups: dict[int, float], memory_mb: float
) -> None:
    gains, budget = Gains({0: 0.1, 2: 0.7}, groups), Cost(0.0, memory_mb)

    def cost(choice: Choice) -> Cost:
        return Cost(1.0, 1.0 + choice.biases + 1.5 * len(choice.groups))

    found = neighbours(best, (3, 6), gains, cost, budget)
    assert best not in found
    assert len(set(found)) == len(found)
    for one in found:
        more, less = one.groups - best.groups, best.groups - one.groups
        if one.biases != best.biases:
            assert not more | less
        else:
            assert (len(more), len(less)) in ((1, 0), (1, 1), (0, 1))
        assert cost(one).excess(budget) <= NEARLY
    fitting = [one for one in found if cost(one).fits(budget)]
    assert found[: len(fitting)] == fitting
    assert [gains.of(one) for one in fitting] == sorted((gains.of(one) for one in fitting), reverse=True)
    if memory_mb > 11.9:
        # Nothing is too much: 2 other biases or 3, each group flipped, each pair of one within and one without swapped.
        assert len(found) == 3 + 6 + len(best.groups) * (6 - len(best.groups))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6, unique=True), st.floats(0.5, 14))
def test_as_much_as_fits_is_a_stretch_at_the_end(firsts: list[int], memory_mb: float) -> None:
    budget = Cost(0.0, memory_mb)

    def cost(choice: Choice) -> Cost:
        return Cost(1.0, 1.0 + 0.3 * (choice.biases + 1) + 2.0 * len(choice.groups))

    chosen = last_that_fits(firsts, 3, cost, budget)
    most = max(max((firsts[one] for one in range(len(firsts)) if one not in chosen.groups), default=-1), -1)
    assert all(firsts[one] > most for one in chosen.groups)
    if chosen != Choice():
        assert cost(chosen).fits(budget)
    if len(chosen.groups) < len(firsts):
        assert not cost(Choice(-1, frozenset(range(len(chosen.groups) + 1)))).fits(budget)
    if chosen.biases < 2:
        assert not cost(Choice(chosen.biases + 1, chosen.groups)).fits(budget)


def test_where_gains_do_not_add_up_the_search_climbs_beyond_what_evolution_proposes(tmp_path: Path) -> None:
    """Trainings that are a formula, named as one: of four groups that lie together only the best counts, and those at
    the end are the best alone. Biases gain nothing, and depthwise weights take more than there is."""

    def gain(groups: frozenset[int]) -> float:
        worth = {one: 1 + 0.1 * (one % 4) + 0.5 * (one // 4 == 3) for one in groups}
        return sum(max((worth[one] for one in groups if one // 4 == four), default=0.0) for four in range(4))

    class Formula(Search):
        def _try(self, choice: Choice, name: str, only_if_it_fits: bool) -> Tried:
            memory = 10.0 + 5 * len(choice.groups) + choice.biases + 50 * (16 in choice.groups)
            known = Tried(choice.biases, tuple(sorted(choice.groups)), 1.0, memory, name=name)
            fits = known.cost.fits(self.budget) or not only_if_it_fits
            done = msgspec.structs.replace(known, steps=10, loss=9.0 - gain(choice.groups))
            return self._keep(done if fits else known)

        def _measure(self, choice: Choice, name: str) -> Tried:
            return self._keep(Tried(choice.biases, tuple(sorted(choice.groups)), 1.0, 145.0, name=name))

    graph = mobilenet(classes=3, size=32)
    onnx_file.write(graph, tmp_path / "net.onnx")
    stripes(tmp_path / "data", count=15)
    examples = open_examples(tmp_path / "data", ("pictures", (8, 3, 32, 32)), "classification")
    job = Job(
        model=str(tmp_path / "net.onnx"), base_sha256="a" * 64, data=str(tmp_path / "data"), scheme="search",
        labels=examples.labels,
    )  # fmt: skip
    search = Formula(job, examples, tmp_path, Cost(0.0, 30.0), 3600.0, most_pieces=1)
    list(search.run())
    best = search._best()
    assert best is not None
    assert len(search.space.groups) == 17
    assert best.choice.groups == {3, 7, 11, 15}, "the sum of what each gained alone would have 12 to 15"
    found = search.result()
    assert found is not None
    assert found.memory_mb <= 30.0


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
    # Another limit: nothing is trained again; in how many pieces it would fit is measured.
    log = (place / "mine.search" / "tried.jsonl").read_text()
    capsys.readouterr()
    assert kinflow(asked(place, "--memory", "1MB", "--json")) == 254
    assert "KF376" in capsys.readouterr().err
    more = (place / "mine.search" / "tried.jsonl").read_text().removeprefix(log)
    assert not [one for one in map(json.loads, more.splitlines()) if one["loss"] is not None or one["pieces"] == 1]
    assert kinflow(asked(place, "--seed", 3)) == 254
    assert "KF372" in capsys.readouterr().err


def test_what_is_too_large_as_a_whole_is_computed_in_pieces(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = mobilenet(classes=2, size=96)
    onnx_file.write(wide, place / "net.onnx")

    def found(*more: object) -> dict[str, Any]:
        capsys.readouterr()
        assert kinflow(asked(place, "--batch", 16, "--json", *more)) == 0
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return told

    free = found("--minutes", 0.2)
    assert free["pieces"] == 1
    most_mb = max(one["memory_mb"] for one in free["tried"])
    least_mb = min(one["memory_mb"] for one in free["tried"] if one["memory_mb"])
    limit_mb = 0.9 * least_mb + 0.1 * most_mb
    tight = found("--memory", f"{limit_mb}MB", "--minutes", 0.4)
    assert tight["memory_mb"] <= limit_mb
    assert max(one["pieces"] for one in tight["tried"]) > 1
    # What was learnt under the first limit holds under the second; only what it takes in pieces was measured.
    learnt = {one["name"]: one["loss"] for one in free["tried"] if one["loss"] is not None}
    again = [one for one in tight["tried"] if one["name"] in learnt and one["name"] != "together" and one["loss"]]
    assert again
    assert all(one["loss"] == learnt[one["name"]] for one in again)
    words = ["run", place / "net.onnx", "--data", place / "data", "--out", place / "out", "--epochs", 1, "--json"]
    assert kinflow(["tune", *map(str, words), "--scheme", str(place / "mine.toml"), "--batch", "16"]) == 0
    manifest = load_manifest(place / "out" / "program")
    assert (manifest.batch, manifest.accumulate) == (16 // tight["pieces"], tight["pieces"])


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
    graph = onnx_file.read(network(tmp_path / "net.onnx"))
    found: Space = space_of(resolve(graph, 2), "classification", ("conv2.weight",))
    assert found.always.tensors == ("head.weight", "head.bias", "conv2.weight")
    assert [one.tensors for one in found.groups] == [("conv1.weight",)]
    assert set(found.tensors(Choice())) == set(found.always.tensors)
