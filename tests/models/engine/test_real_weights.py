"""The same, on weights that have learned something: 260 thousand parameters of children's stories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.engine.generate import generate
from models.engine.llama.engine import LlamaEngine, Options
from models.engine.llama.weights import Loaded, load
from models.engine.port import Piece
from models.engine.sampling import Sampler, Sampling
from models.engine.trust import Trust
from models.engine.verify import verify
from models.family.handover import pack, unpack
from models.family.splitting import split
from tests.models.engine.conftest import trusting

pytestmark = pytest.mark.data
OPENING = "Once upon a time, there was a little girl named"


@pytest.fixture(scope="module")
def weights(data: Path) -> Iterator[Loaded]:
    path = data / "weights" / "stories260K.gguf"
    loaded = load(path, trusting(path))
    yield loaded
    loaded.close()


@pytest.fixture
def engine(weights: Loaded) -> Iterator[LlamaEngine]:
    opened = LlamaEngine(weights, Options(context_tokens=256, sequences=2, threads=1))
    yield opened
    opened.close()


def story(engine: LlamaEngine, sampling: Sampling) -> tuple[list[int], str]:
    engine.rollback(0, 0)
    steps = list(generate(engine, 0, engine.tokenize(OPENING, begin=True), sampling))
    return [step.choice.token for step in steps], "".join(step.text for step in steps)


def test_it_tells_a_story(engine: LlamaEngine) -> None:
    _, text = story(engine, Sampling(max_tokens=60))
    assert "She" in text
    assert sum(word.strip('.,!"').lower() in COMMON for word in text.split()) > 0.4 * len(text.split())
    assert story(engine, Sampling(max_tokens=60, stop=("She",)))[1] == text.split("She")[0]


COMMON = frozenset("a and the she was to in it her he they big happy lily said mom with had day one that".split())  # noqa: SIM905


def test_drafts_of_its_own_save_most_steps(engine: LlamaEngine) -> None:
    sampling = Sampling(max_tokens=64)
    plain, _ = story(engine, sampling)
    engine.rollback(0, 0)
    sampler, steps = Sampler(sampling), 1
    answer = [sampler.choose(engine.decode([Piece(0, engine.tokenize(OPENING, begin=True))])[0].logits[0]).token]
    while len(answer) < len(plain):
        draft = plain[len(answer) : len(answer) + 7]
        answer += [one.token for one in verify(engine, 0, answer[-1], draft, sampler).choices]
        steps += 1
    # "Itself" is the path of several rows: single steps may differ where two logits nearly tie. Here none does.
    assert answer[: len(plain)] == plain
    assert steps <= len(plain) / 6


def test_it_is_handed_over_in_bytes_and_says_the_same(tmp_path: Path, data: Path, engine: LlamaEngine) -> None:
    source = data / "weights" / "stories260K.gguf"
    blocks = engine.facts.blocks
    trust = Trust(tmp_path)
    trust.accept(source, engine.facts.fingerprint)
    manifest = split(source, tmp_path, trust, (blocks // 2,))
    tokens, _ = story(engine, Sampling(max_tokens=120))
    text = engine.tokenize(OPENING, begin=True) + tokens
    engine.rollback(0, 0)
    whole = engine.decode([Piece(0, text, wanted="all")])[0].logits
    first, last = (load(tmp_path / str(member.file), trust) for member in manifest.members)
    device = LlamaEngine(first, Options(context_tokens=256, tap=first.blocks - 1, ends_at_tap=True, threads=1))
    edge = LlamaEngine(last, Options(context_tokens=512, threads=1, sequences=2))
    try:
        hidden = device.decode([Piece(0, text, wanted="none")])[0].hidden
        assert hidden is not None
        logits = []
        for sequence, kind in enumerate(("fp32", "int8")):
            sent = pack(hidden, source=device.facts.source, block=blocks // 2, start=0, kind=kind)  # type: ignore[arg-type]
            rows = unpack(sent, edge.facts, 0)
            logits.append(edge.decode([Piece(sequence, hidden=rows, wanted="all")])[0].logits)
            assert len(sent) < hidden.nbytes * (1.1 if kind == "fp32" else 0.35)
        assert np.array_equal(logits[0], whole)
        assert (logits[1].argmax(1) == whole.argmax(1)).mean() > 0.97
    finally:
        device.close()
        edge.close()
        first.close()
        last.close()
