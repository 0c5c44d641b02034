"""`kinflow bench peers`: the same file, threads, slots and context for every server; they take turns, so that a busy
machine is busy for all of them. Each run has its server to itself: started, told the same, ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct

from benchmarks.errors import PeerNotStarted, ServerUnmeasured
from benchmarks.serving.answer import Answer
from benchmarks.serving.figures import Slo, spread, told
from benchmarks.serving.peers.cases import Case, Load, Together, gaps_after, load_of, long_prompt
from benchmarks.serving.peers.example_server import example_server
from benchmarks.serving.peers.llama_cpp_server import llama_cpp_server
from benchmarks.serving.peers.llama_server import BATCHES, llama_server
from benchmarks.serving.peers.log import Log, Turn
from benchmarks.serving.peers.ours import kinflow
from benchmarks.serving.peers.peer import Peer, Say, Terms
from benchmarks.serving.peers.row import Row, median_of, ratio, row_of
from benchmarks.serving.peers.sweep import swept
from benchmarks.serving.peers.vllm_cpu import vllm_cpu
from benchmarks.serving.plot import draw
from benchmarks.serving.target import ALONE_TOKENS, SLO_FACTOR, Target
from benchmarks.serving.traces.trace import Row as Request

SERVERS = ("kinflow", "llama-server", "llama_cpp.server", "example-server", "vllm-cpu")
OTHERS: dict[str, Callable[[], Peer]] = {
    "llama_cpp.server": llama_cpp_server,
    "example-server": example_server,
    "vllm-cpu": vllm_cpu,
}
# A load is searched for with these of llama-server's settings.
SWEEP = (None, 128)
# A setting may give away so much of the first token for shorter gaps, and still be the best one.
TTFT_SLACK = 1.25


@dataclass(frozen=True)
class Setting:
    """batches: llama-server's -b beside its default. loads: shares of what one server should bear, reckoned from how
    fast it is alone. smaller: lengths of traces are divided by it."""

    case: Case
    gguf: Path
    threads: int
    servers: tuple[str, ...] = SERVERS
    slots: int = 8
    context_tokens: int = 2_048
    rounds: int = 3
    batches: tuple[int, ...] = BATCHES
    prompts: tuple[int, ...] = (4_096, 8_192)
    speakers: int = 16
    answer_tokens: int = 256
    requests: int = 60
    smaller: int = 8
    loads: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
    patience_s: float = 1_800.0
    trace: Path | None = None
    plot: Path | None = None
    log: Path | None = None

    @property
    def about(self) -> dict[str, object]:
        """What is measured, however often."""
        told = {**asdict(self), "gguf": self.gguf.name, "trace": self.trace.name if self.trace else ""}
        return {name: value for name, value in told.items() if name not in ("rounds", "plot", "log", "patience_s")}


class Figures(Struct, frozen=True, kw_only=True):
    """rows: judged; of traffic at the load at which llama-server gives the most goodput, whatever its -b. sweep: how
    that load was found. best: llama-server's -b that it is judged by. ratios: ours to llama-server's, at its best and
    at its default, None where one of the two has no figure."""

    case: str
    note: str
    model: str
    threads: int
    slots: int
    context_tokens: int
    slo: Slo | None
    rows: tuple[Row, ...]
    sweep: tuple[Row, ...]
    best: dict[str, str]
    ratios: dict[str, float | None]


def quick(setting: Setting) -> Setting:
    """That it works, in some minutes; no figures to judge by."""
    return replace(
        setting,
        rounds=1,
        batches=(128, 512),
        prompts=(512,),
        speakers=4,
        answer_tokens=48,
        requests=min(setting.requests, 12),
        smaller=max(setting.smaller, 32),
        loads=(0.5, 1.0),
    )


def summary(figures: Figures) -> list[str]:
    """For a person: a line for each row, then the ratios."""
    lines = [f"{figures.case}, {figures.model}, {figures.threads} threads, {figures.slots} slots: {figures.note}"]
    for one in figures.rows:
        what = f"{one.server} {one.setting}" + (f", {one.prompt_tokens} tokens" if one.prompt_tokens else "")
        if one.why or one.ttft_s is None or one.tbt_ms is None:
            lines.append(f"{what}: {one.why}")
            continue
        good = "" if one.goodput_per_s is None else f"; goodput {one.goodput_per_s}/s"
        lines.append(
            f"{what}: TTFT {one.ttft_s.p50} s, {one.ttft_s.p99} s; gaps {one.tbt_ms.p50} ms, {one.tbt_ms.p99} ms, "
            f"most {one.tbt_ms.max} ms; {one.tokens_per_s} tokens/s{good}; {one.failed} of {one.requests} failed"
        )
    return lines + [f"{name} {value}" for name, value in figures.ratios.items()]


def measure(setting: Setting, say: Say) -> Figures:
    """Raises PeerNotStarted (KF530) for llama-server, CaseWithoutTrace (KF531), TraceUnreadable (KF462)."""
    return _Together(setting, say).figures() if setting.case == "long-prompt" else _Traffic(setting, say).figures()


Work = Callable[[Target], Coroutine[Any, Any, Row]]


class _Bench:
    def __init__(self, setting: Setting, say: Say, terms: Terms) -> None:
        self.setting, self.say, self.terms = setting, say, terms
        self.log = Log(setting.log, setting.about)
        self._gone: dict[str, str] = {}

    def run(self, peer: Peer, work: Work) -> Row:
        """One run of one server. What can't be started is not tried again."""
        if peer.name not in self._gone:
            try:
                with peer.running(self.terms, self.say) as server:
                    return asyncio.run(self._work(server, work))
            except (PeerNotStarted, ServerUnmeasured) as error:
                if peer.name == "llama-server":
                    raise
                self._gone[peer.name] = str(error)
        return Row(server=peer.name, setting=peer.setting, why=self._gone[peer.name])

    async def _work(self, server: Any, work: Work) -> Row:
        return await work(await Target.known(server, "completions"))

    def peers(self, batches: Sequence[int | None]) -> list[Peer]:
        """Ours, llama-server with each of them, and the others; as far as they were asked for."""
        asked = self.setting.servers
        ours = [kinflow()] if "kinflow" in asked else []
        return [*ours, *map(llama_server, batches), *(make() for name, make in OTHERS.items() if name in asked)]


class _Together(_Bench):
    """Many who speak, and a long prompt."""

    def __init__(self, setting: Setting, say: Say) -> None:
        room = max(*setting.prompts, setting.answer_tokens) + 128
        super().__init__(setting, say, Terms(setting.gguf, setting.threads, setting.speakers + 1, room))
        self._answers: dict[str, list[Answer]] = {}

    def figures(self) -> Figures:
        setting, found = self.setting, list[Row]()
        peers = self.peers([None, *setting.batches])
        for number in range(setting.rounds):
            for prompt in setting.prompts:
                name = f"round {number + 1}: {prompt} tokens"
                found += self.log.turn(name, partial(self._turn, name, peers, prompt, number)).rows
        rows = [
            median_of([one for one in found if (one.server, one.setting, one.prompt_tokens) == key])
            for key in dict.fromkeys((one.server, one.setting, one.prompt_tokens) for one in found)
        ]
        best, ratios = {}, {}
        for prompt in setting.prompts:
            mine, chosen, default = self._compared([one for one in rows if one.prompt_tokens == prompt])
            best[str(prompt)] = chosen.setting
            for name, other in (("best", chosen), ("default", default)):
                ratios[f"gap_{prompt}_to_{name}"] = ratio(_gap(mine), _gap(other))
                ratios[f"ttft_{prompt}_to_{name}"] = ratio(_first(mine), _first(other))
                ratios[f"tokens_{prompt}_to_{name}"] = ratio(mine.tokens_per_s if mine else None, other.tokens_per_s)
        if setting.plot is not None:
            longest = max(setting.prompts)
            draw(self._answers, None, f"a prompt of {longest} tokens among {setting.speakers} speakers", setting.plot)
        note = f"{setting.speakers} answers of {setting.answer_tokens} tokens, and one long prompt"
        return _figures(setting, self.terms, note, None, rows, [], best, ratios)

    def _turn(self, name: str, peers: Sequence[Peer], prompt: int, number: int) -> Turn:
        rows = []
        for peer in peers:
            self.say(f"{name}, {peer.name} {peer.setting}")
            rows.append(self.run(peer, self._case(peer, prompt, number)))
        return Turn(name=name, rows=tuple(rows))

    def _case(self, peer: Peer, prompt: int, number: int) -> Work:
        together = Together(prompt, self.setting.speakers, self.setting.answer_tokens)

        async def work(target: Target) -> Row:
            speaking, long = await long_prompt(target, together, number, self.setting.patience_s)
            everybody = [*speaking, long]
            if prompt == max(self.setting.prompts):
                self._answers.setdefault(f"{peer.name} {peer.setting}", []).extend(everybody)
            said = told(everybody, None)
            all_tokens = sum((one.prompt_tokens or one.wanted_prompt) + one.tokens for one in everybody)
            return Row(
                server=peer.name,
                setting=peer.setting,
                prompt_tokens=prompt,
                ttft_s=spread([] if long.ttft_s is None else [long.ttft_s], digits=4),
                tbt_ms=spread(gaps_after(speaking, long.intended_s), 1e3),
                tokens_per_s=round(all_tokens / said.seconds, 3) if said.seconds else None,
                requests=said.requests,
                failed=said.failed,
                said_share=said.said_share,
            )

        return work

    @staticmethod
    def _compared(rows: Sequence[Row]) -> tuple[Row | None, Row, Row]:
        theirs = [one for one in rows if one.server == "llama-server"]
        fastest = min((_first(one) or float("inf") for one in theirs), default=0.0)
        quick = [one for one in theirs if (_first(one) or float("inf")) <= TTFT_SLACK * fastest] or theirs
        best = min(quick, key=lambda one: _gap(one) or float("inf"))
        mine = next((one for one in rows if one.server == "kinflow"), None)
        return mine, best, next(one for one in theirs if one.setting == "default")


class _Traffic(_Bench):
    """A trace at several loads."""

    def __init__(self, setting: Setting, say: Say) -> None:
        super().__init__(setting, say, Terms(setting.gguf, setting.threads, setting.slots, setting.context_tokens))
        self._load: Load = load_of(
            setting.case, setting.requests, setting.smaller, setting.context_tokens, setting.trace
        )
        self._answers: dict[str, list[Answer]] = {}
        self._slo: Slo | None = None

    def figures(self) -> Figures:
        setting = self.setting
        alone = self.log.turn("alone", self._first_alone)
        self._slo, self._bears_per_s = alone.slo, alone.bears_per_s
        loads = [share * self._bears_per_s for share in setting.loads]
        sweep = [row for batch in SWEEP for row in swept(loads, partial(self._theirs, batch))]
        load = max(sweep, key=lambda one: one.goodput_per_s or 0.0).load_per_s
        sweep += [self._theirs(batch, load) for batch in setting.batches if batch not in SWEEP]
        top = max(sweep, key=lambda one: one.goodput_per_s or 0.0)
        batch = next(one for one in (*SWEEP, *setting.batches) if llama_server(one).setting == top.setting)
        peers, found = self.peers(list(dict.fromkeys((None, batch)))), list[Row]()
        for number in range(setting.rounds):
            name = f"round {number + 1} at {top.load_per_s:.4f} requests/s"
            found += self.log.turn(name, partial(self._turn, name, peers, top.load_per_s, number + 1)).rows
        keys = dict.fromkeys((one.server, one.setting) for one in found)
        rows = [median_of([one for one in found if (one.server, one.setting) == key]) for key in keys]
        ratios: dict[str, float | None] = {}
        mine = next((one for one in rows if one.server == "kinflow"), Row(server="kinflow", setting=""))
        for name, wanted in (("best", top.setting), ("default", "default")):
            other = next(one for one in rows if (one.server, one.setting) == ("llama-server", wanted))
            ratios[f"goodput_to_{name}"] = ratio(mine.goodput_per_s, other.goodput_per_s)
            every = ratio(mine.goodput_every_gap_per_s, other.goodput_every_gap_per_s)
            ratios[f"goodput_every_gap_to_{name}"] = every
            ratios[f"tokens_to_{name}"] = ratio(mine.tokens_per_s, other.tokens_per_s)
        if setting.plot is not None:
            draw(self._answers, self._slo, f"{self._load.name} at {top.load_per_s:.3f} requests/s", setting.plot)
        note = self._load.note
        return _figures(setting, self.terms, note, self._slo, rows, sweep, {setting.case: top.setting}, ratios)

    def _turn(self, name: str, peers: Sequence[Peer], rate_per_s: float, seed: int) -> Turn:
        rows = []
        for peer in peers:
            self.say(f"{name}: {peer.name} {peer.setting}")
            rows.append(self.run(peer, self._case(peer, rate_per_s, seed, keep=True)))
        return Turn(name=name, rows=tuple(rows))

    def _theirs(self, batch: int | None, rate_per_s: float) -> Row:
        peer = llama_server(batch)
        name = f"sweep: {rate_per_s:.4f} requests/s, llama-server {peer.setting}"

        def measured() -> Turn:
            self.say(name)
            return Turn(name=name, rows=(self.run(peer, self._case(peer, rate_per_s, 0)),))

        return self.log.turn(name, measured).rows[0]

    def _first_alone(self) -> Turn:
        row = self.run(llama_server(), self._alone)
        return Turn(name="alone", rows=(row,), slo=self._slo, bears_per_s=self._bears_per_s)

    async def _alone(self, target: Target) -> Row:
        """The SLO, and how many requests a second one server should bear: its prompts one after the other, its answers
        two at a time."""
        load = self._load
        slo = await target.slo(load.median_prompt, self.setting.patience_s)
        self._slo = Slo(ttft_s=slo.ttft_s, tbt_ms=slo.tbt_ms, how=f"{slo.how}, by llama-server at its default")
        prompt, answer = load.means
        prefill_s, step_s = slo.ttft_s / SLO_FACTOR / load.median_prompt, slo.tbt_ms / SLO_FACTOR / 1e3
        self._bears_per_s = 1 / (prompt * prefill_s + answer * step_s / 2)
        alone = [await target.one(Request(0, load.median_prompt, ALONE_TOKENS), "alone", self.setting.patience_s)]
        return row_of("llama-server", "default", told(alone, self._slo), 0.0, 0.0)

    def _case(self, peer: Peer, rate_per_s: float, seed: int, *, keep: bool = False) -> Work:
        async def work(target: Target) -> Row:
            answers = await self._load.sent(target, rate_per_s, seed, self.setting.patience_s)
            if keep:
                self._answers.setdefault(f"{peer.name} {peer.setting}", []).extend(answers)
            scale = round(self._load.rate_per_s / rate_per_s, 4)
            return row_of(peer.name, peer.setting, told(answers, self._slo), round(rate_per_s, 6), scale)

        return work


def _gap(row: Row | None) -> float | None:
    return None if row is None or row.tbt_ms is None else row.tbt_ms.max


def _first(row: Row | None) -> float | None:
    return None if row is None or row.ttft_s is None else row.ttft_s.p50


def _figures(  # noqa: PLR0917 (what they consist of)
    setting: Setting,
    terms: Terms,
    note: str,
    slo: Slo | None,
    rows: Sequence[Row],
    sweep: Sequence[Row],
    best: dict[str, str],
    ratios: dict[str, float | None],
) -> Figures:
    return Figures(
        case=setting.case,
        note=note,
        model=terms.gguf.stem,
        threads=terms.threads,
        slots=terms.slots,
        context_tokens=terms.context_tokens,
        slo=slo,
        rows=tuple(rows),
        sweep=tuple(sweep),
        best=best,
        ratios=ratios,
    )
