"""What servers are put side by side with: many who speak while a long prompt comes, and traces."""

from __future__ import annotations

import asyncio
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

from benchmarks.errors import CaseWithoutTrace
from benchmarks.serving.answer import Answer, Asking
from benchmarks.serving.replay import Plan, replay
from benchmarks.serving.target import SLO_FACTOR, Target
from benchmarks.serving.traces.azure import read_azure
from benchmarks.serving.traces.trace import Row

Case = Literal["long-prompt", "azure-conv", "azure-code", "mixed"]
TRACES = {"azure-conv": "AzureLLMInferenceTrace_conv.csv", "azure-code": "AzureLLMInferenceTrace_code.csv"}
# Of those who speak: a question, and how much of an answer is there before the long prompt comes.
QUESTION_TOKENS, SPOKEN_TOKENS = 32, 8
LONG_ANSWER_TOKENS = 16


@dataclass(frozen=True)
class Together:
    """speakers: answers of `answer_tokens` each, under way when a prompt of `prompt_tokens` comes."""

    prompt_tokens: int
    speakers: int = 16
    answer_tokens: int = 256


async def long_prompt(target: Target, case: Together, seed: object, patience_s: float) -> tuple[list[Answer], Answer]:
    """The speakers' answers, and the long prompt's. The work is the same for every server, so that all tokens over the
    time until the last is a fair rate."""
    loop = asyncio.get_running_loop()
    row = Row(0.0, QUESTION_TOKENS, case.answer_tokens)
    askings = [Asking(loop.time(), row.input_tokens, row.output_tokens) for _ in range(case.speakers)]
    speaking = [
        asyncio.create_task(one.of(target.server, target.request(row, f"{seed}-{number}"), patience_s))
        for number, one in enumerate(askings)
    ]
    long = Row(0.0, case.prompt_tokens, LONG_ANSWER_TOKENS)
    request = target.request(long, f"{seed}-long")
    while any(one.pieces < SPOKEN_TOKENS for one in askings) and not any(one.done() for one in speaking):
        await asyncio.sleep(0.005)
    asking = Asking(loop.time(), long.input_tokens, long.output_tokens)
    answer = await asking.of(target.server, request, patience_s)
    return list(await asyncio.gather(*speaking)), answer


def gaps_after(answers: Sequence[Answer], moment_s: float) -> list[float]:
    """From piece to piece, of those that ended after the moment."""
    found: list[float] = []
    for one in answers:
        at_s = one.first_s or 0.0
        for gap in one.gaps_s:
            at_s += gap
            if at_s > moment_s:
                found.append(gap)
    return found


@dataclass(frozen=True)
class Load:
    """rows: of a trace, its lengths already fit for the machine. rate_per_s: that they have by themselves."""

    name: str
    rows: tuple[Row, ...]
    note: str

    @property
    def rate_per_s(self) -> float:
        span_s = self.rows[-1].time_s - self.rows[0].time_s if self.rows else 0.0
        return (len(self.rows) - 1) / span_s if span_s > 0 else 1.0

    @property
    def median_prompt(self) -> int:
        return round(statistics.median(one.input_tokens for one in self.rows))

    @property
    def means(self) -> tuple[float, float]:
        """Tokens of prompts and answers."""
        return (
            statistics.fmean(one.input_tokens for one in self.rows),
            statistics.fmean(one.output_tokens for one in self.rows),
        )

    async def sent(self, target: Target, rate_per_s: float, seed: int, patience_s: float) -> list[Answer]:
        plan = Plan(time_scale=self.rate_per_s / rate_per_s, patience_s=patience_s, seed=seed)
        return await replay(target, self.rows, 0, plan)


def load_of(case: Case, requests: int, smaller: int, context_tokens: int, trace: Path | None) -> Load:
    """The case's first requests that fit into a slot. Raises CaseWithoutTrace (KF531), TraceUnreadable (KF462)."""
    if case == "mixed":
        rows = mixed(requests, smaller)
        return Load("mixed", rows, f"made: four short prompts to a long one, Poisson; {_long(rows)}")
    folder = os.environ.get("KINFLOW_DATA", "")
    path = trace or Path(folder) / "traces" / "azure_llm" / TRACES[case]
    if not (trace or folder) or not path.is_file():
        raise CaseWithoutTrace(case=case, file=TRACES[case])
    whole = read_azure(path).smaller(smaller)
    fitting = [one for one in whole.rows if one.output_tokens and one.input_tokens + one.output_tokens < context_tokens]
    left = len(whole.rows) - len(fitting)
    rows = tuple(fitting[:requests])
    note = (
        f"lengths divided by {smaller}; {left} of {len(whole.rows)} requests don't fit and are left out; {_long(rows)}"
    )
    return Load(whole.name, rows, note)


def _long(rows: Sequence[Row]) -> str:
    """How many can hardly keep the SLO, which is so many times what the median prompt takes alone."""
    prompts = [one.input_tokens for one in rows]
    most = SLO_FACTOR * statistics.median(prompts)
    return f"{sum(one > most for one in prompts)} of {len(rows)} prompts are over {SLO_FACTOR:g} times the median"


def mixed(requests: int, smaller: int, seed: int = 0) -> tuple[Row, ...]:
    """Questions of 64 to 256 tokens, and each fifth a document of 2,048 to 6,144, all divided by `smaller`; one a
    second in the mean."""
    random = Random(seed)  # noqa: S311 (no secret)
    at_s, rows = 0.0, []
    for _ in range(requests):
        low, high = (2_048, 6_144) if random.random() < 0.2 else (64, 256)
        prompt, answer = random.randint(low, high), random.randint(32, 192)
        rows.append(Row(at_s, max(1, prompt // smaller), max(1, answer // smaller)))
        at_s += random.expovariate(1.0)
    return tuple(rows)
