"""A prompt that one context computes, and another goes on with."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from benchmarks.engine import made_model
from benchmarks.kv_exact import compare, prefill, prompts_of
from models.engine.llama.engine import LlamaEngine, Options
from models.engine.llama.weights import Loaded, load
from models.engine.port import Engine
from models.engine.trust import Trust, fingerprint
from models.serving.holding import find_holding
from node.config.schema import Serving
from node.home import find_home

PIECE_ROWS = 256
SEQUENCES = 16
LEAST_EACH = 32


@dataclass(frozen=True)
class Setting:
    """family: "" for a file of the engine benchmark's shape. tokens: compared, all sequences together. threads: 0 for
    one a processor."""

    family: str = ""
    tokens: int = 10_000
    prompt_tokens: int = 1024
    threads: int = 0


class Figures(Struct, frozen=True, kw_only=True):
    """max_logit_diff, tokens_identical: a context that was adopted piece by piece against the same pieces computed
    there. break_even_mbit_s: the bandwidth at which bringing a token's keys and values takes as long as computing it
    here."""

    max_logit_diff: float
    tokens_identical: int
    tokens: int
    bytes_per_token: float
    break_even_mbit_s: float
    prefill_tokens_per_s: float
    model: str
    threads: int


def measure(setting: Setting) -> Figures:
    """Raises what opening weights does, and RuntimeError where the model can't be made."""
    threads = setting.threads or os.cpu_count() or 1
    weights = _weights(setting.family)
    sequences = max(1, min(SEQUENCES, setting.tokens // LEAST_EACH))
    room = setting.prompt_tokens + -(-setting.tokens // sequences)
    options = Options(context_tokens=room * sequences, sequences=sequences, threads=threads)
    here, there = LlamaEngine(weights, options), LlamaEngine(weights, options)
    sizes: list[int] = []

    def bring(engine: Engine, sequence: int, prompt: Sequence[int]) -> None:
        # As pieces, from the context that has computed it: what a worker elsewhere would send.
        for begin in range(0, len(prompt) - 1, PIECE_ROWS):
            portion = here.export(sequence, begin, min(begin + PIECE_ROWS, len(prompt) - 1))
            sizes.append(len(portion.data))
            engine.adopt(sequence, portion)

    try:
        prompts = prompts_of(here.facts.vocabulary, sequences, setting.prompt_tokens)
        each_s = _prefill_s(here, prompts[0])
        found = compare(here, there, prompts, bring, rows=PIECE_ROWS, tokens=setting.tokens)
    finally:
        here.close()
        there.close()
        weights.close()
    per_token = sum(sizes) / (sequences * (setting.prompt_tokens - 1))
    return Figures(
        max_logit_diff=found.max_logit_diff,
        tokens_identical=found.same,
        tokens=found.tokens,
        bytes_per_token=round(per_token, 1),
        break_even_mbit_s=round(per_token * 8e-6 / each_s, 3),
        prefill_tokens_per_s=round(1 / each_s, 2),
        model=weights.header.text("general.name") or weights.path.stem,
        threads=threads,
    )


def _prefill_s(engine: Engine, prompt: Sequence[int]) -> float:
    """Of a token of a prompt, the median of three."""
    taken = []
    for _ in range(3):
        began_s = time.perf_counter()
        prefill(engine, 0, prompt, PIECE_ROWS)
        taken.append(time.perf_counter() - began_s)
        engine.rollback(0, 0)
    return statistics.median(taken) / (len(prompt) - 1)


def _weights(family: str) -> Loaded:
    if not family:
        path = made_model()
        return load(path, Trust(path.parent, shipped=[fingerprint(path)]), accelerate=False)
    holding = find_holding(find_home(), Serving(family=family), "cloud")
    return load(Path(holding.folder / str(holding.member.file)), holding.trust(), accelerate=False)
