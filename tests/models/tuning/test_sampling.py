"""Of some weights only some input channels are trained at a time: these learn what they would learn anyway, the others
stay, and over the epochs all have their turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.tuning.networks import Llama, llama, mobilenet
from models.tuning import deltas, sampled
from models.tuning import job as jobs
from models.tuning.bundle import load_manifest
from models.tuning.compiler import Recipe
from models.tuning.graph import Array
from models.tuning.optimizers import Optimizer
from models.tuning.sampled import Sampled
from models.tuning.schemes import choose
from models.tuning.state import Place
from models.tuning.trainer import Trainer
from models.tuning.training import train
from models.tuning.worker import opened
from tests.models.tuning.small import tune
from tests.models.tuning.test_cutting import BATCH, feeds_of, trained_losses

FORM = Llama(vocabulary=24, width=128, layers=3, heads=2, hidden=160, places=6)
NETWORKS = {
    "mobilenet": (lambda: mobilenet(classes=4, size=32), "classification"),
    "llama": (lambda: llama(FORM), "language"),
}


def after_a_step(kind: str, folder: Path, recipe: Recipe) -> tuple[dict[str, Array], dict[str, Array], Trainer]:
    """Tensors before and after."""
    network, loss = NETWORKS[kind]
    graph = network()
    _, trainer = trained_losses(graph, choose(graph, "full", loss).tensors, recipe, folder)
    trainer = Trainer(folder)
    before = trainer.tensors()
    trainer.step(feeds_of(graph, loss))
    return before, trainer.tensors(), trainer


@pytest.mark.parametrize("kind", NETWORKS)
def test_channels_learn_what_they_learn_anyway_and_the_others_stay(kind: str, tmp_path: Path) -> None:
    recipe = Recipe(BATCH, NETWORKS[kind][1], Optimizer("sgd", 0.05))
    before, whole, _ = after_a_step(kind, tmp_path / "whole", recipe)
    start, some, trainer = after_a_step(kind, tmp_path / "some", replace(recipe, channels=0.25))
    state, seen = trainer.state(), {one.tensor: one for one in trainer.manifest.sampled}
    assert len(seen) > 8
    assert set(some) == set(whole)
    for name, value in whole.items():
        assert (start[name] == before[name]).all(), name
        near = np.allclose(some[name], value, rtol=1e-3, atol=1e-4 * np.abs(value - before[name]).max())
        if name not in seen:
            assert near, name
            continue
        one = seen[name]
        chosen = state[one.channels]
        now, was, wanted = (sampled.by_channel(each[name], one.axis) for each in (some, start, whole))
        rest = np.delete(np.arange(len(now)), chosen)
        assert len(chosen) == max(1, round(len(now) / 4))
        assert (now[rest] == was[rest]).all(), name
        largest = np.abs(wanted - was).max()
        assert np.allclose(now[chosen] - was[chosen], wanted[chosen] - was[chosen], atol=1e-3 * largest), name


@given(st.integers(0, 2**16), st.integers(1, 9), st.integers(0, 3), st.booleans())
def test_drawing_anew_changes_no_weight(seed: int, wanted: int, axis: int, is_packed: bool) -> None:
    random = np.random.default_rng(seed)
    shape = tuple(9 if one == axis else 2 for one in range(4))
    one = Sampled("w", shape, axis, "whole.w", "channels.w", "part.w")
    rows, channels = random.normal(size=(9, 8)), sampled.draw(random, 9, wanted)
    count, start = wanted * 8, 3 if is_packed else 0
    place = Place("part.w", "state", (wanted, 8), start, count)
    state = {
        "whole.w": rows, "channels.w": channels, "state": random.normal(size=start + count),
        "square.state": random.uniform(size=start + count), "mean.state": random.normal(size=start + count),
    }  # fmt: skip
    before = sampled.tensors([place], [one], state)["w"]
    others = {name: state[name][:start].copy() for name in ("state", "square.state", "mean.state")}
    mean = state["square.state"][start:].mean()
    sampled.redraw([place], [one], state, random)
    assert before.shape == shape
    assert (sampled.tensors([place], [one], state)["w"] == before).all()
    assert len(set(state["channels.w"].tolist())) == wanted
    assert (state["mean.state"][start:] == 0).all()
    assert np.allclose(state["square.state"][start:], mean)
    for name, value in others.items():
        assert (state[name][:start] == value).all()


@pytest.mark.parametrize(
    "more", [{"int8": True}, {"recompute": True}, {"accumulate": 2}, {"cut": True}, {"clip": 0.5}], ids=str
)
@pytest.mark.parametrize("kind", NETWORKS)
def test_it_goes_together_with_what_else_a_program_can_be(kind: str, more: dict[str, object], tmp_path: Path) -> None:
    network, loss = NETWORKS[kind]
    graph = network()
    recipe = Recipe(BATCH, loss, Optimizer("adam", 0.01), channels=0.5)
    names = choose(graph, "deep", loss).tensors
    plain, _ = trained_losses(graph, names, recipe, tmp_path / "plain")
    losses, trainer = trained_losses(graph, names, replace(recipe, **more), tmp_path / "more")  # type: ignore[arg-type]
    assert trainer.manifest.sampled
    assert np.isfinite(losses).all()
    if "accumulate" in more or "clip" in more:
        assert losses[-1] < losses[0]
        return
    assert losses == pytest.approx(plain, rel=0.15 if "int8" in more else 2e-3)


def test_over_the_epochs_all_channels_have_their_turn(tmp_path: Path) -> None:
    graph = llama(FORM)
    names = choose(graph, "full", "language").tensors
    recipe = Recipe(BATCH, "language", Optimizer("adam", 0.003), channels=0.25)
    _, trainer = trained_losses(graph, names, recipe, tmp_path / "net")
    trainer, random = Trainer(tmp_path / "net"), np.random.default_rng(0)
    before, losses = trainer.tensors(), []
    for epoch in range(30):
        if epoch:
            trainer.redraw(random)
        losses.append(trainer.step(feeds_of(graph, "language")))
    after = trainer.tensors()
    assert losses[-1] < 0.5 * losses[0]
    for one in trainer.manifest.sampled:
        moved = sampled.by_channel(after[one.tensor] - before[one.tensor], one.axis).any(1)
        assert moved.mean() > 0.99, one.tensor


def run(place: Path, out: str, *more: object, share: float = 0.5, epochs: int = 6) -> int:
    words = ["run", place / "net.onnx", "--data", place / "data", "--out", place / out, "--scheme", "full"]
    return tune(*words, "--rate", 0.02, "--epochs", epochs, "--channels", share, "--keep", 0, "--json", *more)


def end_of(folder: Path, stops: Sequence[int]) -> dict[str, Array]:
    """Of a training that is stopped after these steps and goes on each time. The state."""
    (folder / jobs.STATE).unlink()
    job = jobs.load(folder)
    assert job is not None
    job = msgspec.structs.replace(job, epochs=5)
    examples, _ = opened(job, load_manifest(folder / jobs.PROGRAM), folder)
    for stop in (*stops, 1_000_000):
        trainer = Trainer(folder / jobs.PROGRAM)
        loop = train(trainer, examples, job, folder)
        for step in loop:
            if step.done >= stop:
                loop.close()
    return trainer.state()


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_training_that_goes_on_ends_where_one_at_a_stretch_does(place: Path, accumulate: int) -> None:
    assert run(place, "out", "--accumulate", accumulate, epochs=1) == 0
    whole = end_of(place / "out", [])
    # 60 examples in batches of 8: an epoch's end, amid others, and right behind one.
    parted = end_of(place / "out", [8, 11, 17, 18, 24])
    assert (whole["channels.conv2.weight"] != np.arange(4)).any()
    for name, value in whole.items():
        assert (parted[name] == value).all(), name


def test_what_was_trained_is_told_with_what_was_learnt(place: Path) -> None:
    assert run(place, "out", share=0.25, epochs=1) == 0
    (one,) = load_manifest(place / "out" / "program").sampled
    found = deltas.read(place / "out" / "delta.safetensors")
    # Of eight, in one epoch.
    assert len(found.masks[one.tensor]) == 2
    change = sampled.by_channel(found.differences[one.tensor], one.axis)
    assert change.any(1).nonzero()[0].tolist() == found.masks[one.tensor]
    assert (place / "out" / "trained.onnx").is_file()


def test_a_scheme_file_may_say_how_many(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scheme = place / "mine.toml"
    words = ["run", place / "net.onnx", "--data", place / "data", "--epochs", 1, "--json", "--scheme", scheme]
    scheme.write_text('tensors = ["conv2.*", "head.*"]\nchannels = 0.5\n')
    assert tune(*words, "--out", place / "out") == 0
    assert [one.tensor for one in load_manifest(place / "out" / "program").sampled] == ["conv2.weight"]
    scheme.write_text('tensors = ["conv2.*", "head.*"]\nchannels = 0\n')
    assert tune(*words, "--out", place / "other") == 254
    assert "channels is a share, above 0 and at most 1" in capsys.readouterr().err
