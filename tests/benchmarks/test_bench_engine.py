"""`kinflow bench engine` on small weights: what it prints adds up, and what is missing is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firmware_configs.bundle import llama
from firmware_configs.bundle.target import here
from kinflow.main import run
from models.family.quantize import quantize
from models.family.shapes import Shape, write_random

SMALL = Shape("qwen2", blocks=2, width=64, heads=2, kv_heads=1, inner=96, vocabulary=400)
SIZES = ("--threads", "1", "--rounds", "1", "--prompt-tokens", "16", "--answer-tokens", "4", "--json")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    plain, small = tmp_path / "f16.gguf", tmp_path / "small.gguf"
    write_random(plain, SMALL)
    quantize(plain, small, "q8_0")
    return small


def test_figures_of_our_own_need_nobody_else(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "engine", "--model", str(model), "--no-peer", *SIZES]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["decode_ratio"], figures["prefill_ratio"]) == (None, None)
    assert figures["overhead_ms_per_step"] > 0
    assert 1e3 / figures["decode_tokens_per_s"] > figures["overhead_ms_per_step"] / 4
    assert (figures["prompt_tokens"], figures["answer_tokens"], figures["rounds"]) == (16, 4, 1)


def test_the_other_side_is_asked_for_the_same(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    target = here()
    folder = llama.cache_folder() / "llama" / f"{llama.VERSION}-{llama._recipe(target)}" / target.variants[0].name
    folder.mkdir(parents=True)
    # Stands for llama-bench: it writes down how it was called, and answers in its form.
    tool = folder / "llama-bench"
    tool.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/called\n'
        'echo \'[{"n_prompt": 16, "n_gen": 0, "avg_ts": 2.0}, {"n_prompt": 0, "n_gen": 4, "avg_ts": 0.5}]\'\n'
    )
    tool.chmod(0o755)
    assert run(["bench", "engine", "--model", str(model), *SIZES]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["decode_ratio"] == pytest.approx(figures["decode_tokens_per_s"] / 0.5, rel=0.01)
    assert figures["prefill_ratio"] == pytest.approx(figures["prefill_tokens_per_s"] / 2.0, rel=0.01)
    called = (tmp_path / "called").read_text()
    assert f"-m {model} -t 1 -r 1 -p 16 -n 4" in called


def test_a_peer_that_can_not_be_built_is_told_by_its_code(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["bench", "engine", "--model", str(model), *SIZES]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["decode_ratio"] is None
    assert figures["peer"].startswith("KF408")
