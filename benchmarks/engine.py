"""`kinflow bench engine`: our engine and llama.cpp's own llama-bench, on one file, with the same threads and batches.

The two take turns, so that a busy machine is busy for both, and each is judged by its best run. llama-bench is built
from the same source with the same flags, once, and run against the very libraries that are installed here.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct

from firmware_configs.bundle.llama import cache_folder, tool_of
from firmware_configs.bundle.target import here
from firmware_configs.errors import LibraryNotBuilt
from models.engine.llama.engine import LlamaEngine, Options
from models.engine.llama.library import library
from models.engine.llama.weights import load
from models.engine.port import Piece
from models.engine.trust import Trust, fingerprint
from models.errors import PeerMissing
from models.family.quantize import quantize
from models.family.shapes import QWEN_HALF_B, write_random

log = logging.getLogger(__name__)

BATCH_TOKENS = 512


class Figures(Struct, frozen=True, kw_only=True):
    """decode_ratio, prefill_ratio: our tokens a second against llama-bench's; None where that could not be built, with
    its code in `peer`. overhead_ms_per_step: what a step of ours takes beyond llama.cpp's own call, median."""

    decode_ratio: float | None
    prefill_ratio: float | None
    overhead_ms_per_step: float
    decode_tokens_per_s: float
    prefill_tokens_per_s: float
    peer: str
    peer_decode_tokens_per_s: float | None
    peer_prefill_tokens_per_s: float | None
    model: str
    model_mb: float
    threads: int
    rounds: int
    prompt_tokens: int
    answer_tokens: int


@dataclass(frozen=True)
class Setting:
    """model: None for one of Qwen2.5-0.5B's shape with random weights in Q4_K_M, which is made once and kept. rounds:
    turns that each takes. peer: whether to run llama-bench; one that can't be built is told in the figures (KF408)."""

    model: Path | None
    threads: int
    rounds: int
    prompt_tokens: int = 512
    answer_tokens: int = 128
    peer: bool = True


@dataclass(frozen=True)
class Speeds:
    decode: float
    prefill: float


def measure(setting: Setting) -> Figures:
    """Raises what `load` does, and RuntimeError where the model can't be made or llama-bench fails."""
    path = setting.model or made_model()
    said, tool = "llama-bench", None
    if setting.peer:
        try:
            tool = _tool()
        except PeerMissing as error:
            said = str(error)
    else:
        said = "not asked for"
    ours: list[Speeds] = []
    theirs: list[Speeds] = []
    overheads: list[float] = []
    weights = load(path, Trust(path.parent, shipped=[fingerprint(path)]), accelerate=False)
    try:
        for number in range(setting.rounds):
            log.info("round %d of %d", number + 1, setting.rounds)
            room = setting.prompt_tokens + setting.answer_tokens
            options = Options(context_tokens=room, batch_tokens=BATCH_TOKENS, threads=setting.threads)
            engine = LlamaEngine(weights, options)
            try:
                ours.append(_ours(engine, setting, overheads))
            finally:
                engine.close()
            if tool is not None:
                theirs.append(_theirs(tool, path, setting))
    finally:
        weights.close()
    mine = _best(ours)
    other = _best(theirs) if theirs else None
    return Figures(
        decode_ratio=round(mine.decode / other.decode, 4) if other else None,
        prefill_ratio=round(mine.prefill / other.prefill, 4) if other else None,
        overhead_ms_per_step=round(statistics.median(overheads), 4),
        decode_tokens_per_s=round(mine.decode, 2),
        prefill_tokens_per_s=round(mine.prefill, 2),
        peer=said,
        peer_decode_tokens_per_s=round(other.decode, 2) if other else None,
        peer_prefill_tokens_per_s=round(other.prefill, 2) if other else None,
        model=weights.header.text("general.name") or path.stem,
        model_mb=round(path.stat().st_size / 1e6, 1),
        threads=setting.threads,
        rounds=setting.rounds,
        prompt_tokens=setting.prompt_tokens,
        answer_tokens=setting.answer_tokens,
    )


def _best(runs: list[Speeds]) -> Speeds:
    return Speeds(max(one.decode for one in runs), max(one.prefill for one in runs))


def _ours(engine: LlamaEngine, setting: Setting, overheads: list[float]) -> Speeds:
    vocabulary = engine.facts.vocabulary
    prompt = [(7 * number) % (vocabulary - 10) + 5 for number in range(setting.prompt_tokens)]
    # As llama-bench: once without a clock, so that memory and threads are there.
    engine.decode([Piece(0, prompt)])
    engine.rollback(0, 0)
    began = time.perf_counter()
    engine.decode([Piece(0, prompt)])
    prefill = setting.prompt_tokens / (time.perf_counter() - began)
    engine.rollback(0, 0)
    engine.decode([Piece(0, prompt[:1])])
    engine.rollback(0, 0)
    with _Clock() as inside:
        began = time.perf_counter()
        for number in range(setting.answer_tokens):
            step = time.perf_counter()
            engine.decode([Piece(0, [prompt[number % len(prompt)]])])
            overheads.append((time.perf_counter() - step - inside.last_s) * 1e3)
        decode = setting.answer_tokens / (time.perf_counter() - began)
    return Speeds(decode, prefill)


class _Clock:
    """How long llama.cpp's own call takes: what remains of a step is ours. Logits are handed out when they are asked
    for, which waits for the call's end on a GPU; on a CPU the call has ended."""

    last_s = 0.0

    def __enter__(self) -> _Clock:
        self._llama: Any = library().llama
        self._decode: Callable[..., int] = self._llama.llama_decode
        self._llama.llama_decode = self._timed
        return self

    def __exit__(self, *_: object) -> None:
        self._llama.llama_decode = self._decode

    def _timed(self, *arguments: Any) -> int:
        began = time.perf_counter()
        status = self._decode(*arguments)
        self.last_s = time.perf_counter() - began
        return status


def _theirs(tool: Path, model: Path, setting: Setting) -> Speeds:
    arguments = ["-m", str(model), "-t", str(setting.threads), "-r", "1"]
    arguments += ["-p", str(setting.prompt_tokens), "-n", str(setting.answer_tokens)]
    arguments += ["-b", str(BATCH_TOKENS), "-ub", str(BATCH_TOKENS), "-o", "json"]
    libraries = Path(library().llama.__file__).parent / "lib"
    environment = {**os.environ, "LD_LIBRARY_PATH": f"{libraries}:{tool.parent}"}
    done = subprocess.run([tool, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"llama-bench ended with status {done.returncode}: {done.stderr.strip()[-300:]}")
    runs = json.loads(done.stdout)
    return Speeds(
        max(float(one["avg_ts"]) for one in runs if one["n_gen"]),
        max(float(one["avg_ts"]) for one in runs if one["n_prompt"]),
    )


def _tool() -> Path:
    try:
        return tool_of(here(), cache_folder(), log.warning)
    except LibraryNotBuilt as error:
        raise PeerMissing(detail=error.cause_text) from error


def made_model() -> Path:
    """The benchmark's own model, in the user's cache."""
    folder = cache_folder() / "bench"
    path = folder / "qwen2.5-0.5b-shaped-q4_k_m.gguf"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < 2_500_000_000:
        raise RuntimeError(f"{folder} needs 2.5 GB free while the benchmark's model is made")
    log.warning("making a model of Qwen2.5-0.5B's shape, once: a minute or two")
    with tempfile.TemporaryDirectory(dir=folder) as work:
        plain = Path(work) / "f16.gguf"
        write_random(plain, QWEN_HALF_B)
        quantize(plain, path, "q4_k_m")
    return path
