"""A server that asks the one above it: terms by headers, receipts in headers and usage; servers of other families."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from models.engine.fake import FakeEngine
from models.engine.generate import generate
from models.engine.port import Engine
from models.engine.sampling import Sampling
from models.errors import WayImpossible
from models.escalation.answer import Answering, Bit
from models.escalation.desk import Identity
from models.escalation.http_above import HttpAbove
from models.escalation.lower import external_above, lower_of
from models.escalation.port import Question
from models.escalation.receipt import Receipt, Terms
from models.escalation.served import Served, served
from models.family.manifest import Member, write_manifest
from models.family.splitting import split
from models.serving.fifo import FifoScheduler
from models.serving.holding import Holding
from models.serving.service import Service
from node.config.schema import Serving
from tests.models.engine import tiny
from tests.models.escalation.tiers import PROMPT, AcceptingTrust, Tiny, above_at, family, listening

UP = {"X-Kinflow-Max-Tier": "cloud", "X-Kinflow-Way": "draft"}
ASKED = {"prompt": PROMPT, "max_tokens": 12, "temperature": 0, "logit_bias": {str(tiny.END): -100}}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder = tmp_path_factory.mktemp("family")
    return Tiny(folder, family(folder))


@pytest.fixture(scope="module")
def urls(small: Tiny) -> Iterator[tuple[str, str]]:
    """The upper server's, and the lower one's, which asks it."""
    with listening(small.upper()) as upper:
        below = served(
            lambda: small.holding("small"), "edge", lambda _: HttpAbove(f"http://127.0.0.1:{upper}", "", "cloud")
        )
        with listening(below) as lower:
            yield f"http://127.0.0.1:{upper}", f"http://127.0.0.1:{lower}"


def post(url: str, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/completions", json={**ASKED, **more}, headers=headers or {}, timeout=20)


def test_two_running_tiers_say_the_same_where_the_upper_one_may_be_asked(urls: tuple[str, str]) -> None:
    upper, lower = urls
    target = post(upper).json()["choices"][0]["text"]
    for way in ("draft", "hidden", "question"):
        answer = post(lower, {**UP, "X-Kinflow-Way": way})
        told = answer.json()
        if way != "hidden":
            assert told["choices"][0]["text"] == target
        receipt = told["usage"]["kinflow"]
        assert (receipt["tier"], receipt["way"], receipt["code"]) == ("cloud", way, "")
        assert answer.headers["x-kinflow-tier"] == "cloud"
        assert int(answer.headers["x-kinflow-bytes-sent"]) == receipt["bytes_sent"] > 0
        assert told["usage"]["completion_tokens"] == 12
    own = post(lower).json()
    assert own["usage"]["kinflow"]["tier"] == "edge"
    assert own["usage"]["kinflow"]["bytes_sent"] == 0
    assert post(lower, {**UP, "X-Kinflow-Max-Tier": "edge"}).json()["choices"] == own["choices"]


def test_a_stream_ends_with_the_receipt(urls: tuple[str, str]) -> None:
    _, lower = urls
    whole = post(lower, UP).json()
    streamed = post(lower, UP, stream=True, stream_options={"include_usage": True})
    lines = [line.removeprefix("data: ") for line in streamed.text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    told = [json.loads(line) for line in lines[:-1]]
    assert "".join(one["choices"][0]["text"] for one in told if one["choices"]) == whole["choices"][0]["text"]
    assert [one["choices"][0]["finish_reason"] for one in told if one["choices"]].count("length") == 1
    assert told[-1]["usage"]["kinflow"]["tier"] == "cloud"
    logprobs = post(lower, UP, logprobs=1).json()["choices"][0]["logprobs"]["token_logprobs"]
    assert len(logprobs) == 12
    assert all(one <= 0 for one in logprobs)


def test_who_leaves_an_answer_by_two_tiers_frees_the_turn(urls: tuple[str, str]) -> None:
    _, lower = urls
    long = {**ASKED, "max_tokens": 200, "stream": True}
    for _ in range(3):
        with httpx.stream("POST", f"{lower}/v1/completions", json=long, headers=UP, timeout=20) as answer:
            next(answer.iter_lines())
    assert post(lower, UP).json()["usage"]["kinflow"]["tier"] == "cloud"


def test_terms_that_are_none_are_refused_and_a_way_that_can_not_be_is_told(urls: tuple[str, str]) -> None:
    _, lower = urls
    for headers in ({"X-Kinflow-Max-Tier": "moon"}, {"X-Kinflow-Budget-Bytes": "many"}, {"X-Kinflow-Deadline-S": "-1"}):
        assert post(lower, headers).json()["error"]["kinflow_code"] == "KF501"
    told = post(lower, UP | {"X-Kinflow-Way": "question"}, logprobs=1)
    assert (told.status_code, told.json()["error"]["kinflow_code"]) == (400, "KF505")


def test_without_a_server_above_the_answer_is_this_ones(small: Tiny) -> None:
    gone = served(lambda: small.holding("small"), "edge", lambda _: HttpAbove("http://127.0.0.1:9", "", "cloud"))
    with listening(gone) as port:
        told = post(f"http://127.0.0.1:{port}", UP).json()
        receipt = told["usage"]["kinflow"]
        assert (receipt["tier"], receipt["code"]) == ("edge", "KF493")
        assert told["usage"]["completion_tokens"] == 12


def test_a_server_of_another_family_is_asked_whole_questions_in_words(small: Tiny) -> None:
    """The fake engine behind OpenAI's protocol stands in for any such server: another vocabulary, other weights."""

    async def make() -> FifoScheduler:
        return await FifoScheduler.open(lambda: FakeEngine(sequences=2, context_tokens=512))

    async def go_on(after: int) -> FifoScheduler:
        raise AssertionError

    foreign = Served(Service("other", make), lambda: Identity("other", "1", "b" * 64, "", "other"), go_on)
    with listening(foreign) as port:
        member = Member(name="top", tier="edge", url=f"http://127.0.0.1:{port}/v1", model="other")
        manifest = replace(small.manifest, members=(small.manifest.members[0], member))
        holding = Holding(small.folder, manifest, manifest.members[0], Serving(), lambda: AcceptingTrust(small.folder))
        above = external_above(holding, Serving(), "device")
        assert above is not None
        device = small.device()
        question = Question(PROMPT, [{"role": "user", "content": "is the road free?"}])
        terms = Terms(max_tier="edge", way="question")
        *bits, receipt = Answering(small.here(device), above, terms).answer(question, Sampling(max_tokens=6))
        assert isinstance(receipt, Receipt)
        assert (receipt.tier, receipt.code) == ("edge", "")
        assert "".join(bit.text for bit in bits if isinstance(bit, Bit))
        with pytest.raises(WayImpossible, match="none of this family"):
            list(Answering(small.here(device), above, Terms(max_tier="edge", way="draft")).answer(question, Sampling()))
        above.close()
        device.close()


@pytest.mark.parametrize("kind", ["dense", "window", "recurrent", "hybrid"])
def test_siblings_draft_for_one_another_and_hand_nothing_over(tmp_path: Path, small: Tiny, kind: str) -> None:
    """Independent weights with one tokenizer, the upper ones of any memory: the smaller drafts, the larger's answer
    comes out."""
    members = []
    files = (
        ("s", "device", tiny.dense(tmp_path / "s.gguf", seed=9, blocks=1)),
        ("l", "edge", tiny.KINDS[kind](tmp_path / "l.gguf")),
    )
    for name, tier, path in files:
        sha256 = AcceptingTrust(tmp_path).check(path)
        members.append(Member(name=name, tier=tier, file=path.name, sha256=sha256))  # type: ignore[arg-type]
    manifest = replace(
        small.manifest, realisation="siblings", members=tuple(members), continuations=(), source_sha256=None
    )
    write_manifest(tmp_path, manifest)
    settings = Serving(family=str(tmp_path), sequences=2, context_tokens=256, threads=1, fast=False)

    def holding(number: int) -> Holding:
        return Holding(tmp_path, manifest, manifest.members[number], settings, lambda: AcceptingTrust(tmp_path))

    assert said_by(holding, "draft") == alone(holding(1).engine(sequences=1))
    here = lower_of(holding(0), "device")
    assert not here.hands_over
    here.engine.close()


def test_segments_of_one_model_answer_together_as_the_whole(tmp_path: Path) -> None:
    """A user's own file, cut in two: the first segment gives no words, the second begins in the middle."""
    source = tiny.dense(tmp_path / "whole.gguf", seed=5)
    manifest = split(source, tmp_path, AcceptingTrust(tmp_path), [2])
    settings = Serving(family=str(tmp_path), sequences=2, context_tokens=256, threads=1, fast=False)

    def holding(number: int) -> Holding:
        return Holding(tmp_path, manifest, manifest.members[number], settings, lambda: AcceptingTrust(tmp_path))

    whole = replace(manifest, members=(Member(name="all", tier="device", file=source.name, sha256="0" * 64),))
    engine = Holding(tmp_path, whole, whole.members[0], settings, lambda: AcceptingTrust(tmp_path)).engine(sequences=1)
    assert said_by(holding, "hidden") == alone(engine)


def said_by(holding: Any, way: str) -> list[int]:
    lower = holding(0)
    here = lower_of(lower, "device")
    with listening(served(lambda: holding(1))) as port:
        above = above_at(port)
        terms = Terms(max_tier="edge", way=way, kind="fp32")  # type: ignore[arg-type]
        *bits, receipt = Answering(here, above, terms).answer(Question(PROMPT, ""), Sampling(max_tokens=12))
        above.close()
    here.engine.close()
    assert isinstance(receipt, Receipt)
    assert receipt.code == "", receipt.why
    return [bit.choice.token for bit in bits if isinstance(bit, Bit) and bit.choice is not None]


def alone(engine: Engine) -> list[int]:
    tokens = [step.choice.token for step in generate(engine, 0, PROMPT, Sampling(max_tokens=12))]
    engine.close()
    return tokens
