"""`kinflow bench serving`: a trace against any server that speaks OpenAI's protocol."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict

from benchmarks.serving import soak as soaking
from benchmarks.serving.answer import Answer, Api
from benchmarks.serving.figures import Slo, Spread, told
from benchmarks.serving.plot import draw
from benchmarks.serving.process import listener, resident_bytes
from benchmarks.serving.replay import Plan, replay, sendable
from benchmarks.serving.target import Target
from benchmarks.serving.traces.trace import Row, Trace
from benchmarks.serving.wire import Server
from sim_devices.fleet.fleet import allow_files

FILES = 8192
# Lengths of a soak without a trace.
SHORT_ROWS = tuple(Row(0.0, prompt, answer) for prompt in (48, 96, 192) for answer in (4, 16, 48))


@dataclass(frozen=True)
class Setting:
    """trace: None for a soak with short prompts of its own. smaller: lengths are divided by it. slo_ttft_s, slo_tbt_ms:
    0 measures them alone. pid: of the server's process, 0 looks for who listens."""

    url: str
    trace: Trace | None
    token: str = ""
    api: Api = "chat"
    model: str = ""
    plan: Plan = Plan()  # noqa: RUF009 (frozen)
    smaller: int = 1
    most_tokens: int | None = None
    slo_ttft_s: float = 0.0
    slo_tbt_ms: float = 0.0
    pid: int = 0
    soak: soaking.Setting | None = None
    plot: Path | None = None


class Figures(Struct, frozen=True, kw_only=True):
    """As `Told` and `Soaked` say. time_scale: seconds here for a second of the trace. lengths_divided_by: of prompts
    and answers. rss_growth: of the server's process, from before to after; None where it is not known."""

    server: str
    model: str
    trace: str
    synthetic: str
    time_scale: float
    lengths_divided_by: int
    requests: int
    failed: int
    failures: dict[str, int]
    left_out: dict[str, int]
    ttft_s: Spread
    tbt_ms: Spread
    slo: Slo | None
    goodput_per_s: float | None
    goodput_every_gap_per_s: float | None
    tokens_per_s: float
    late_ms: Spread
    prompt_off: int
    prompt_off_most: int
    said_share: float | None
    seconds: float
    rss_growth: float | None
    soak: soaking.Soaked | None = None


def measure(setting: Setting, say: Callable[[str], None]) -> Figures:
    """Raises ServerUnmeasured (KF464)."""
    allow_files(FILES)
    figures, answers, slo = asyncio.run(_measure(setting, say))
    if setting.plot is not None:
        scale = f"time scale {figures.time_scale:g}, {figures.requests} requests, {figures.failed} failed"
        draw({figures.server: answers}, slo, f"{figures.trace}: {scale}", setting.plot)
    return figures


async def _measure(setting: Setting, say: Callable[[str], None]) -> tuple[Figures, Sequence[Answer], Slo | None]:
    server = Server.of(setting.url, setting.token)
    trace, left_out, rows = setting.trace, {}, list(SHORT_ROWS)
    if trace is not None:
        trace = trace.smaller(setting.smaller)
        rows, left_out = sendable(trace, setting.most_tokens)
    target = await Target.known(server, setting.api, setting.model)
    say(f"{target.model} at {server.url}: {target.words.fixed} tokens and {target.words.unit} for each word")
    pid = setting.pid or listener(server)
    slo, soaked = await _slo(setting, target, rows), None
    if setting.soak is None:
        size = resident_bytes(pid) if pid else None
        answers = await replay(target, rows, trace.block_tokens if trace else 0, setting.plan, _every(len(rows), say))
        later = resident_bytes(pid) if pid else None
        growth = round(later / size - 1, 4) if size and later else None
    else:
        soaked, answers = await soaking.soak(target, rows, setting.soak, pid, say)
        growth = soaked.rss_growth
    figures = Figures(
        server=server.url,
        model=target.model,
        trace=trace.name if trace else "short prompts",
        synthetic=trace.synthetic if trace else "made by the soak itself",
        time_scale=setting.plan.time_scale,
        lengths_divided_by=setting.smaller,
        left_out=left_out,
        slo=slo,
        rss_growth=growth,
        soak=soaked,
        **asdict(told(answers, slo)),
    )
    return figures, answers, slo


async def _slo(setting: Setting, target: Target, rows: Sequence[Row]) -> Slo | None:
    if setting.slo_ttft_s and setting.slo_tbt_ms:
        return Slo(ttft_s=setting.slo_ttft_s, tbt_ms=setting.slo_tbt_ms, how="given")
    if not rows:
        return None
    median = round(statistics.median(one.input_tokens for one in rows))
    found = await target.slo(median, setting.plan.patience_s)
    return Slo(ttft_s=setting.slo_ttft_s or found.ttft_s, tbt_ms=setting.slo_tbt_ms or found.tbt_ms, how=found.how)


def _every(count: int, say: Callable[[str], None]) -> Callable[[int], None]:
    step = max(1, count // 10)

    def told_of(number: int) -> None:
        if (number + 1) % step == 0:
            say(f"{number + 1} of {count} sent")

    return told_of
