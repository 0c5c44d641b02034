"""`kinflow bench tiers`: the same questions by each way of answering, between two real processes and a slowed link.

The edge is a process of its own (`kinflow tiers serve`), and so is the cloud where the family has a member for it;
everything between goes through a proxy on loopback that holds to the round trip and the bandwidth, the cloud's to a
longer one. Both tiers share this machine's processors, so an edge here is no faster than the
device: figures of work (block-tokens, steps, bytes) carry over to other machines, tokens a second do not. Metric names
as in KubeEdge Ianvs where it has them (TTFT, throughput).
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from benchmarks.child import running
from benchmarks.tiers_family import write_family
from models.assistant.reply import Tier
from models.engine.port import Engine
from models.engine.sampling import Sampling
from models.engine.trust import Trust
from models.escalation.answer import Answering, Bit, Here
from models.escalation.drafter import Drafter
from models.escalation.http_above import HttpAbove
from models.escalation.lower import lower_of
from models.escalation.measured import Measured
from models.escalation.port import Question
from models.escalation.receipt import Kind, Receipt, Terms, WayAsked
from models.family.shelf import models_folder
from models.serving.holding import Holding, find_holding, serves
from models.serving.template import Said, stops_of, tokens_of
from node.config.schema import Serving
from sim_devices.faults.link_state import LinkState
from sim_devices.faults.proxy import LinkProxy

SURE_TOKENS = 8
QUESTIONS = (
    "How busy is the north approach of the market square?",
    "Which devices are offline right now?",
    "What is the signal at the station showing?",
    "Is there an ambulance on its way?",
    "How did congestion at the bridge develop over the last hour?",
    "Turn the retention down to seven days, please.",
    "Does the camera at the school see anything?",
    "Why is the queue at the harbour so long?",
    "Remember that the tram stop is closed on Sunday.",
    "What did I tell you about the roadworks?",
    "Thank you, that was all.",
    "Who gave green to the bus on Main Street?",
)


@dataclass(frozen=True)
class Setting:
    """family: a folder or a name, "" for kin where it is there, else one that is made for the purpose. answers, tokens:
    how many, and the longest. cloud_rtt_ms: None for four times the edge's."""

    rtt_ms: float = 20.0
    mbit: float = 20.0
    family: str = ""
    answers: int = 12
    tokens: int = 32
    temperature: float = 0.0
    cloud_rtt_ms: float | None = None

    @property
    def to_cloud_ms(self) -> float:
        return 4 * self.rtt_ms if self.cloud_rtt_ms is None else self.cloud_rtt_ms


class Row(Struct, frozen=True, kw_only=True):
    """tokens_per_s: of all answers one after the other. ttft_ms: until the first text. bytes_per_token: sent up and
    down, headers included, for each token said. edge_block_tokens: tokens x blocks that the edge computed. edge_steps:
    of the edge, in which it chose. equal_to_edge: share of answers that are the edge's own. asked_above: share of
    answers for which the edge was asked. acceptance: of drafted tokens, None where none were."""

    mode: str
    tokens_per_s: float
    ttft_ms_p50: float
    ttft_ms_p99: float
    bytes_per_token: float
    edge_block_tokens: int
    edge_steps: int
    equal_to_edge: float
    asked_above: float
    acceptance: float | None


class Figures(Struct, frozen=True, kw_only=True):
    """block_tokens_ratio: hand-over in F32 and without drafts, whose answers are the edge's, against edge-only.
    steps_ratio: draft-verify against edge-only. cloud_rtt_ms: None where the family has no member for a cloud. draft_s,
    edge_step_s, edge_row_s: as measured at the end, for the model of costs."""

    rows: tuple[Row, ...]
    family: str
    rtt_ms: float
    mbit: float
    cloud_rtt_ms: float | None
    answers: int
    block_tokens_ratio: float
    steps_ratio: float
    draft_s: float
    edge_step_s: float
    edge_row_s: float
    acceptance: float


@dataclass(frozen=True)
class One:
    """What one question took."""

    text: str
    tokens: int
    prompt: int
    seconds: float
    first_ms: float
    size: int
    blocks: int
    steps: int
    above: bool
    drafted: int = 0
    accepted: int = 0


class Bench:
    """cloud: None where there is none."""

    def __init__(
        self, setting: Setting, here: Here, above: HttpAbove, edge_blocks: int, cloud: HttpAbove | None = None
    ) -> None:
        self._setting, self._here, self._above, self._edge_blocks = setting, here, above, edge_blocks
        self._cloud = cloud
        self.measured = Measured()
        engine = here.engine
        self._prompts = [
            tokens_of(engine, [Said("user", QUESTIONS[number % len(QUESTIONS)])]) for number in range(setting.answers)
        ]
        self._sampling = Sampling(
            temperature=setting.temperature, seed=1, max_tokens=setting.tokens, stop=stops_of(engine)
        )

    def rows(self) -> list[Row]:
        self._answer(self._prompts[0], "draft")  # weights are loaded, links are open: not what is measured
        self._answer(self._prompts[0], "hidden")
        own = [self._answer(prompt, "device") for prompt in self._prompts]
        edge = [self._answer(prompt, "question") for prompt in self._prompts]
        sure = [self._sure(prompt) for prompt in self._prompts]
        limit = statistics.median(sure)
        rows = [self._row("device-only", own, edge), self._row("edge-only", edge, edge)]
        if self._cloud is not None:
            self._at_cloud(self._prompts[0], self._cloud)
            rows.append(self._row("cloud-only", [self._at_cloud(one, self._cloud) for one in self._prompts], edge))
        # Below the median of its own confidence the device asks; the oracle knows which answers would differ.
        routed = [mine if far >= limit else theirs for mine, theirs, far in zip(own, edge, sure, strict=True)]
        rows.append(self._row("routing-threshold", routed, edge))
        known = [mine if mine.text == theirs.text else theirs for mine, theirs in zip(own, edge, strict=True)]
        rows.append(self._row("routing-oracle", known, edge))
        ways: tuple[tuple[str, WayAsked, int | None, Kind], ...] = (
            ("hand-over", "hidden", 0, "int8"),
            ("hand-over-fp32", "hidden", 0, "fp32"),
            ("hand-over-draft", "hidden", None, "int8"),
            ("draft-verify", "draft", None, "int8"),
        )
        for mode, way, window, kind in ways:
            found = [self._answer(prompt, way, window, kind) for prompt in self._prompts]
            rows.append(self._row(mode, found, edge))
        return rows

    def _answer(self, prompt: list[int], way: WayAsked, window: int | None = None, kind: Kind = "int8") -> One:
        terms = Terms(max_tier="edge", way=way, kind=kind)
        asked = Answering(self._here, self._above, terms, self.measured, window)
        text, receipt, seconds = self._heard(asked, prompt)
        self.measured = asked.measured
        above = receipt.tier != self._here.tier
        blocks, steps = receipt.upper_rows * receipt.upper_blocks, receipt.rounds
        if way == "question":
            # It computes the prompt and all that it says but the last token, in a step each.
            blocks = (receipt.prompt_tokens + receipt.said_tokens - 1) * self._edge_blocks
            steps = receipt.said_tokens
        return One(
            text,
            receipt.said_tokens,
            receipt.prompt_tokens,
            seconds,
            receipt.first_ms or seconds * 1000,
            receipt.bytes_sent + receipt.bytes_received,
            blocks,
            steps,
            above,
            receipt.drafted,
            receipt.accepted,
        )

    def _at_cloud(self, prompt: list[int], cloud: HttpAbove) -> One:
        """No edge takes part; what was measured stays that of the edge."""
        asked = Answering(self._here, cloud, Terms(max_tier="cloud", way="question"))
        text, receipt, seconds = self._heard(asked, prompt)
        size, first_ms = receipt.bytes_sent + receipt.bytes_received, receipt.first_ms or seconds * 1000
        return One(text, receipt.said_tokens, receipt.prompt_tokens, seconds, first_ms, size, 0, 0, True)

    def _heard(self, asked: Answering, prompt: list[int]) -> tuple[str, Receipt, float]:
        text, receipt, began_s = "", None, time.monotonic()
        for one in asked.answer(Question(prompt, ""), self._sampling):
            if isinstance(one, Bit):
                text += one.text
            else:
                receipt = one
        seconds = time.monotonic() - began_s
        assert isinstance(receipt, Receipt)
        if receipt.code:
            raise RuntimeError(f"the tier above gave no answer: {receipt.why}")
        return text, receipt, seconds

    def _sure(self, prompt: list[int]) -> float:
        return Drafter(self._here.engine, prompt, self._sampling).confidence(SURE_TOKENS, self._here.temperature)

    @staticmethod
    def _row(mode: str, found: list[One], edge: list[One]) -> Row:
        tokens = max(1, sum(one.tokens for one in found))
        firsts = sorted(one.first_ms for one in found)
        drafted = sum(one.drafted for one in found)
        return Row(
            mode=mode,
            tokens_per_s=round(tokens / sum(one.seconds for one in found), 1),
            ttft_ms_p50=round(statistics.median(firsts), 2),
            ttft_ms_p99=round(firsts[min(len(firsts) - 1, int(0.99 * len(firsts)))], 2),
            bytes_per_token=round(sum(one.size for one in found) / tokens, 1),
            edge_block_tokens=sum(one.blocks for one in found),
            edge_steps=sum(one.steps for one in found),
            equal_to_edge=round(sum(a.text == b.text for a, b in zip(found, edge, strict=True)) / len(found), 4),
            asked_above=round(sum(one.above for one in found) / len(found), 4),
            acceptance=round(sum(one.accepted for one in found) / drafted, 4) if drafted else None,
        )


def measure(setting: Setting) -> Figures:
    """Raises RuntimeError when the edge doesn't come up or goes away, and what opening a family does."""
    folder = Path(tempfile.mkdtemp(prefix="kinflow-bench-tiers-"))
    try:
        family, holding = _holding(folder, setting)
        here = lower_of(holding, "device")
        edge_blocks = _edge_blocks(folder, family)
        with ExitStack() as stack:
            above = stack.enter_context(_above(folder, family, "edge", setting, setting.rtt_ms))
            cloud = None
            if any(one.tier == "cloud" and one.file is not None for one in holding.manifest.members):
                cloud = stack.enter_context(_above(folder, family, "cloud", setting, setting.to_cloud_ms))
            bench = Bench(setting, here, above, edge_blocks, cloud)
            rows = bench.rows()
        here.engine.close()
        holding.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    by_mode, measured = {row.mode: row for row in rows}, bench.measured
    whole = by_mode["edge-only"]
    return Figures(
        rows=tuple(rows),
        family=f"{holding.manifest.name} {holding.manifest.version}",
        rtt_ms=setting.rtt_ms,
        mbit=setting.mbit,
        cloud_rtt_ms=None if cloud is None else setting.to_cloud_ms,
        answers=setting.answers,
        block_tokens_ratio=round(by_mode["hand-over-fp32"].edge_block_tokens / whole.edge_block_tokens, 4),
        steps_ratio=round(by_mode["draft-verify"].edge_steps / whole.edge_steps, 4),
        draft_s=round(measured.draft_s, 6),
        edge_step_s=round(measured.upper.step_s, 6),
        edge_row_s=round(measured.upper.row_s, 6),
        acceptance=round(measured.acceptance, 4),
    )


def _holding(folder: Path, setting: Setting) -> tuple[str, Holding]:
    """The device's member. Where no family is set and none comes with this version, one is made for the purpose."""
    family = setting.family
    if not family and not serves(Serving()):
        family = "made"
        manifest = write_family(folder / "models" / family)
        trust = Trust(folder / "models")
        for part in (*manifest.members, *manifest.continuations):
            trust.accept(folder / "models" / family / str(part.file), str(part.sha256))
    elif family:
        _accept(folder, Path(family))
    return family, find_holding(folder, _settings(family), "device")


def _accept(folder: Path, family: Path) -> None:
    """What the person who runs the bench has accepted counts here, too."""
    known = models_folder() / "accepted.json"
    if known.is_file():
        (folder / "models").mkdir(parents=True, exist_ok=True)
        shutil.copy(known, folder / "models" / known.name)
    if not family.is_dir() and (models_folder() / family).is_dir():
        shutil.copytree(models_folder() / family, folder / "models" / family)


def _settings(family: str) -> Serving:
    return Serving(family=family, sequences=2, context_tokens=512, threads=1, fast=False)


def _edge_blocks(folder: Path, family: str) -> int:
    edge = find_holding(folder, _settings(family), "edge")
    engine: Engine = edge.engine(sequences=1)
    blocks = engine.facts.blocks
    engine.close()
    edge.close()
    return blocks


@contextmanager
def _above(folder: Path, family: str, tier: Tier, setting: Setting, rtt_ms: float) -> Iterator[HttpAbove]:
    """A tier's own process, behind a link."""
    with _served(folder, family, tier) as (port, token):
        proxy = LinkProxy(("127.0.0.1", port))
        proxy.start()
        proxy.set_state(LinkState(delay_ms=rtt_ms / 2, bytes_per_s=setting.mbit * 125_000))
        above = HttpAbove(f"http://127.0.0.1:{proxy.address[1]}", token, tier, timeout_s=60)
        try:
            yield above
        finally:
            above.close()
            proxy.stop()


@contextmanager
def _served(folder: Path, family: str, tier: Tier) -> Iterator[tuple[int, str]]:
    (folder / "kinflow.toml").write_text("[serving]\nsequences = 2\ncontext_tokens = 512\nthreads = 1\n")
    command = [sys.executable, "-c", "from kinflow.main import main; main()", "tiers", "serve", "--tier", tier]
    command += ["--port", "0", "--exact", "--home", str(folder), *(["--family", family] if family else [])]
    with running(command, {**os.environ, "KINFLOW_HOME": str(folder)}) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the {tier} did not start; it ended with status {process.wait()}")
        told = json.loads(line)
        yield int(told["url"].rpartition(":")[2]), Path(told["token_file"]).read_text("ascii").strip()
