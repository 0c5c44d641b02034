"""Three tiers make one answer: the middle one hands on what it has computed, and goes on where the last one goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from models.engine.generate import generate
from models.engine.port import Engine
from models.engine.sampling import Sampling
from models.engine.trust import Trust
from models.escalation.answer import Answering, Bit, Here
from models.escalation.http_above import HttpAbove
from models.escalation.lower import lower_of
from models.escalation.port import Question
from models.escalation.receipt import Receipt, Terms
from models.escalation.served import served
from models.family.splitting import split
from tests.models.engine import tiny
from tests.models.escalation.tiers import PROMPT, AcceptingTrust, Tiny, listening

EXITS, NAMES = (1, 2, 4), ("small", "middle", "large")
NEVER_ENDS = {tiny.END: float("-inf")}
HIDDEN = Terms(max_tier="cloud", way="hidden", kind="fp32")
KINFLOW = [sys.executable, "-W", "error", "-c", "from kinflow.main import main; main()"]


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder = tmp_path_factory.mktemp("home") / "models" / "three"
    folder.mkdir(parents=True)
    source = tiny.nested(folder / "whole.gguf", exits=EXITS, names=NAMES)
    return Tiny(folder, split(source, folder, AcceptingTrust(folder)))


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """One model in three segments."""
    folder = tmp_path_factory.mktemp("cut")
    source = tiny.dense(folder / "whole.gguf", seed=3)
    return Tiny(folder, split(source, folder, AcceptingTrust(folder), (1, 3)))


@contextmanager
def above(family: Tiny, *, with_cloud: bool = True) -> Iterator[HttpAbove]:
    """What the device asks: an edge, which asks a cloud."""
    names = [one.name for one in family.manifest.members]
    with ExitStack() as stack:
        port = stack.enter_context(listening(served(lambda: family.holding(names[2]), "cloud"))) if with_cloud else 9

        def cloud(_: object) -> HttpAbove:
            return HttpAbove(f"http://127.0.0.1:{port}", "", "cloud", timeout_s=5)

        middle = served(lambda: family.holding(names[1]), "edge", cloud)
        edge = HttpAbove(f"http://127.0.0.1:{stack.enter_context(listening(middle))}", "", "edge")
        stack.callback(edge.close)
        yield edge


def said(  # noqa: PLR0917
    here: Here,
    edge: HttpAbove,
    terms: Terms,
    sampling: Sampling,
    window: int,
    at: Callable[[int], None] = lambda _: None,
) -> tuple[list[tuple[str, int]], Receipt]:
    """Tokens with the tier that chose each. at: called with how many there are."""
    found: list[tuple[str, int]] = []
    for one in Answering(here, edge, terms, window=window).answer(Question(PROMPT, ""), sampling):
        if isinstance(one, Receipt):
            return found, one
        if isinstance(one, Bit) and one.choice is not None:
            found.append((one.tier, one.choice.token))
            at(len(found))
    raise AssertionError("no receipt")


def alone(engine: Engine, prompt: list[int], count: int) -> list[int]:
    engine.rollback(0, 0)
    return [one.choice.token for one in generate(engine, 0, prompt, Sampling(max_tokens=count, bias=NEVER_ENDS))]


def test_the_last_of_three_says_it_and_nothing_is_computed_twice(nested: Tiny) -> None:
    here = lower_of(nested.holding("small"), "device")
    large = nested.holding("large").engine(sequences=1)
    own, sampling = alone(large, PROMPT, 16), Sampling(max_tokens=16, bias=NEVER_ENDS)
    with above(nested) as edge:
        for window in (0, 3):
            tokens, receipt = said(here, edge, HIDDEN, sampling, window)
            assert [token for _, token in tokens] == own
            assert (receipt.tier, receipt.tiers, receipt.code) == ("cloud", ("device", "edge", "cloud"), "")
            assert receipt.tokens == {"cloud": 16}
            # The edge: block 1 and its exit's; the cloud: blocks 2 and 3, and its exit's.
            assert receipt.upper_blocks == 2 + 3
            if not window:
                assert receipt.upper_rows == len(PROMPT) + 16 - 1
        # Not further than it may go.
        tokens, receipt = said(here, edge, Terms(max_tier="edge", way="hidden", kind="fp32"), sampling, 0)
        assert (receipt.tier, receipt.tiers, receipt.upper_blocks) == ("edge", ("device", "edge"), 2)
    here.engine.close()
    large.close()


def test_a_model_in_three_segments_answers_as_the_whole(cut: Tiny) -> None:
    names = [one.name for one in cut.manifest.members]
    here = lower_of(cut.holding(names[0]), "device")
    whole = Tiny(cut.folder, cut.manifest).holding(names[0]).engine("whole.gguf", sequences=1)
    sampling = Sampling(max_tokens=12, bias=NEVER_ENDS)
    with above(cut) as edge:
        tokens, receipt = said(here, edge, HIDDEN, sampling, 0)
        assert [token for _, token in tokens] == alone(whole, PROMPT, 12)
        assert receipt.tiers == ("device", "edge", "cloud")
        # A byte and a bit a number goes on as such from tier to tier.
        _, coarse = said(here, edge, Terms(max_tier="cloud", way="hidden"), sampling, 0)
        assert (coarse.tier, coarse.code) == ("cloud", "")
        assert coarse.bytes_sent < receipt.bytes_sent
        # A segment in the middle has no words of its own.
        _, refused = said(here, edge, Terms(max_tier="edge", way="hidden"), sampling, 0)
        assert "KF410" in refused.why
    with above(cut, with_cloud=False) as edge:
        tokens, receipt = said(here, edge, HIDDEN, sampling, 0)
        assert tokens == []
        assert (receipt.tier, receipt.code) == ("device", "KF493")
        assert "KF410" in receipt.why
        assert "says no more" in receipt.why
    here.engine.close()
    whole.close()


def test_a_cloud_that_is_not_there_leaves_the_answer_to_the_edge(nested: Tiny) -> None:
    here = lower_of(nested.holding("small"), "device")
    middle = nested.holding("middle").engine(sequences=1)
    with above(nested, with_cloud=False) as edge:
        tokens, receipt = said(here, edge, HIDDEN, Sampling(max_tokens=8, bias=NEVER_ENDS), 2)
    assert [token for _, token in tokens] == alone(middle, PROMPT, 8)
    assert (receipt.tier, receipt.code) == ("edge", "KF493")
    assert "cloud" in receipt.why
    here.engine.close()
    middle.close()


def test_three_processes_of_which_two_are_killed_mid_answer(nested: Tiny) -> None:
    """The cloud goes: the edge chooses. The edge goes, too: the device does. Not one word is lost or said twice."""
    home = nested.folder.parent.parent
    trust = Trust(home / "models")
    for part in (*nested.manifest.members, *nested.manifest.continuations):
        trust.accept(nested.folder / str(part.file), str(part.sha256))
    with ExitStack() as stack:
        cloud, cloud_url, token_file = stack.enter_context(tier(home, "cloud"))
        edge, edge_url, _ = stack.enter_context(tier(home, "edge", "--above", cloud_url, "--token-file", token_file))
        asked = HttpAbove(edge_url, Path(token_file).read_text("ascii").strip(), "edge")
        stack.callback(asked.close)

        def kill(count: int) -> None:
            if count in (5, 11):
                (cloud if count == 5 else edge).send_signal(signal.SIGKILL)

        here = lower_of(nested.holding("small"), "device")
        tokens, receipt = said(here, asked, HIDDEN, Sampling(max_tokens=20, bias=NEVER_ENDS), 0, kill)
    assert [tier for tier, _ in tokens] == ["cloud"] * 5 + ["edge"] * 6 + ["device"] * 9
    assert receipt.tokens == {"cloud": 5, "edge": 6, "device": 9}
    assert (receipt.tier, receipt.tiers, receipt.code) == ("device", ("device", "edge", "cloud"), "KF493")
    for name, begin, end in (("large", 0, 5), ("middle", 5, 11), ("small", 11, 20)):
        engine = nested.holding(name).engine(sequences=1)
        before = [token for _, token in tokens[:begin]]
        assert [token for _, token in tokens[begin:end]] == alone(engine, [*PROMPT, *before], end - begin)
        engine.close()
    here.engine.close()


@contextmanager
def tier(home: Path, name: str, *more: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    command = [*KINFLOW, "tiers", "serve", "--tier", name, "--family", "three", "--port", "0", "--exact", *more]
    environment = {**os.environ, "KINFLOW_HOME": str(home)}
    process = subprocess.Popen([*command, "--home", str(home)], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        yield process, told["url"], told["token_file"]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
