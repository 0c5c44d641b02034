"""Two tiers make one answer: what comes of it is the upper tier's own, and when that goes it is the lower one's."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from models.engine.generate import generate
from models.engine.port import Engine, Piece
from models.engine.sampling import Sampling
from models.errors import ContextTooLong, WayImpossible
from models.escalation.answer import Answering, Bit, Here
from models.escalation.http_above import HttpAbove
from models.escalation.port import Question
from models.escalation.receipt import Receipt, Terms
from models.family.handover import pack, unpack
from tests.models.engine import tiny
from tests.models.escalation.tiers import PROMPT, Tiny, above_at, family, listening

EDGE = Terms(max_tier="edge")
NEVER_ENDS = {tiny.END: float("-inf")}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder = tmp_path_factory.mktemp("family")
    return Tiny(folder, family(folder))


@pytest.fixture(scope="module")
def port(small: Tiny) -> Iterator[int]:
    with listening(small.upper()) as port:
        yield port


@pytest.fixture(scope="module")
def device(small: Tiny) -> Iterator[Engine]:
    engine = small.device()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def large(small: Tiny) -> Iterator[Engine]:
    """The upper tier's member, all by itself."""
    engine = small.holding("large").engine(sequences=1)
    yield engine
    engine.close()


@pytest.fixture
def above(port: int) -> Iterator[HttpAbove]:
    made = above_at(port)
    yield made
    made.close()


def prompts(count: int) -> list[list[int]]:
    return [[1, *((7 * number + 11 * place) % 250 + 5 for place in range(3 + number % 9))] for number in range(count)]


def said(  # noqa: PLR0917
    here: Here, above: HttpAbove | None, terms: Terms, prompt: list[int], sampling: Sampling, window: int | None = None
) -> tuple[list[int], str, Receipt]:
    *bits, receipt = Answering(here, above, terms, window=window).answer(Question(prompt, ""), sampling)
    assert isinstance(receipt, Receipt)
    tokens = [bit.choice.token for bit in bits if isinstance(bit, Bit) and bit.choice is not None]
    return tokens, "".join(bit.text for bit in bits if isinstance(bit, Bit)), receipt


def alone(engine: Engine, prompt: list[int], sampling: Sampling) -> tuple[list[int], str]:
    engine.rollback(0, 0)
    steps = list(generate(engine, 0, prompt, sampling))
    return [step.choice.token for step in steps], "".join(step.text for step in steps)


def test_handed_over_logits_are_the_whole_members_to_the_bit(small: Tiny, device: Engine, large: Engine) -> None:
    edge = small.holding("large")
    continuation = edge.continuation(tiny.EXITS[0] - 1)
    assert continuation is not None
    rest = edge.engine(continuation.file, sequences=1)
    device.rollback(0, 0)
    large.rollback(0, 0)
    hidden = device.decode([Piece(0, PROMPT, wanted="none")])[0].hidden
    assert hidden is not None
    whole = large.decode([Piece(0, PROMPT, wanted="all")])[0].logits
    for kind in ("fp32", "int8"):
        rest.rollback(0, 0)
        frame = pack(hidden, source=small.own.source, block=small.own.after + 1, start=0, kind=kind)  # type: ignore[arg-type]
        handed = rest.decode([Piece(0, hidden=unpack(frame, rest.facts, 0), wanted="all")])[0].logits
        if kind == "fp32":
            assert float(abs(handed - whole).max()) == 0.0
        else:
            agree = handed.argmax(axis=1) == whole.argmax(axis=1)
            assert agree.mean() >= 0.9
    rest.close()
    edge.close()


@pytest.mark.parametrize("way", ["draft", "hidden", "question"])
@pytest.mark.parametrize("window", [0, 3, None])
def test_every_way_says_what_the_upper_member_says(  # noqa: PLR0917
    small: Tiny, device: Engine, large: Engine, above: HttpAbove, way: str, window: int | None
) -> None:
    terms = Terms(max_tier="edge", way=way, kind="fp32")  # type: ignore[arg-type]
    for prompt in prompts(6):
        sampling = Sampling(max_tokens=20, stop=("qq",))
        tokens, text, receipt = said(small.here(device), above, terms, prompt, sampling, window)
        own_tokens, own_text = alone(large, prompt, sampling)
        assert text == own_text
        assert receipt.tier == "edge"
        assert receipt.code == ""
        assert receipt.bytes_sent > 0
        assert receipt.said_tokens == len(own_tokens)
        assert receipt.prompt_tokens == len(prompt)
        if way != "question":
            assert tokens == own_tokens
            assert receipt.upper_rows >= len(prompt) + len(tokens) - 2


def test_no_row_is_computed_twice_when_nothing_is_drafted(small: Tiny, device: Engine, above: HttpAbove) -> None:
    terms = Terms(max_tier="edge", way="hidden", kind="fp32")
    sampling = Sampling(max_tokens=12, bias=NEVER_ENDS)
    _, _, receipt = said(small.here(device), above, terms, PROMPT, sampling, window=0)
    # The last token is never put in, anywhere.
    assert receipt.upper_rows == len(PROMPT) + 12 - 1
    assert receipt.rounds == 12
    # The continuation has the blocks behind the device's exit alone.
    assert receipt.upper_blocks == tiny.EXITS[1] - tiny.EXITS[0] + 1
    assert receipt.upper_blocks < tiny.EXITS[1] + 1


def test_a_long_context_goes_up_in_several_frames(small: Tiny, device: Engine, large: Engine, above: HttpAbove) -> None:
    prompt = [1, *((3 * place) % 250 + 5 for place in range(219))]
    for kind in ("fp32", "int8"):
        terms = Terms(max_tier="edge", way="hidden", kind=kind)  # type: ignore[arg-type]
        tokens, _, receipt = said(small.here(device), above, terms, prompt, Sampling(max_tokens=8), window=2)
        assert receipt.code == ""
        assert receipt.bytes_sent > 220 * tiny.WIDTH * (4 if kind == "fp32" else 1)
        if kind == "fp32":
            assert tokens == alone(large, prompt, Sampling(max_tokens=8))[0]


def test_sampling_by_two_tiers_is_repeatable_and_within_the_filter(
    small: Tiny, device: Engine, above: HttpAbove
) -> None:
    terms = Terms(max_tier="edge", way="draft")
    sampling = Sampling(temperature=0.8, top_k=20, seed=5, max_tokens=16, bias=NEVER_ENDS)
    first = said(small.here(device), above, terms, PROMPT, sampling, window=3)
    assert first[:2] == said(small.here(device), above, terms, PROMPT, sampling, window=3)[:2]
    assert first[2].drafted > 0
    assert len(first[0]) == 16


def test_another_family_and_another_version_are_refused_and_the_answer_goes_on_below(
    small: Tiny, device: Engine, above: HttpAbove, tmp_path: Path
) -> None:
    here = small.here(device)
    own_tokens, _ = alone(device, PROMPT, Sampling(max_tokens=10))
    for way, changed in (
        ("hidden", replace(here.own, source="f" * 64)),
        ("hidden", replace(here.own, source="")),
        ("hidden", replace(here.own, tokenizer="f" * 64)),
        ("draft", replace(here.own, tokenizer="f" * 64)),
    ):
        terms = Terms(max_tier="edge", way=way)  # type: ignore[arg-type]
        foreign = replace(here, own=changed)
        tokens, _, receipt = said(foreign, above, terms, PROMPT, Sampling(max_tokens=10))
        assert receipt.tier == "device"
        assert "KF503" in receipt.why
        assert receipt.code == "KF493"
        assert tokens == own_tokens
    # A block from which nothing goes on.
    none = replace(here, own=replace(here.own, after=0))
    _, _, receipt = said(none, above, Terms(max_tier="edge", way="hidden"), PROMPT, Sampling(max_tokens=4))
    assert "KF505" in receipt.why


def test_policy_holds(small: Tiny, device: Engine, above: HttpAbove) -> None:
    here, sampling = small.here(device), Sampling(max_tokens=10, bias=NEVER_ENDS)
    before = above.bytes_sent
    for terms in (
        Terms(max_tier="device", way="draft"),
        Terms(max_tier="edge", way="device"),
        Terms(max_tier="edge"),
        Terms(max_tier="edge", way="draft", budget_bytes=100),
    ):
        tokens, _, receipt = said(here, above, terms, PROMPT, sampling)
        assert (receipt.tier, receipt.bytes_sent) == ("device", 0)
        assert tokens == alone(device, PROMPT, sampling)[0]
    assert above.bytes_sent == before
    # Not sure enough by far: it goes up, the way that is expected to be fastest.
    _, _, receipt = said(replace(here, threshold=0.99), above, EDGE, PROMPT, sampling)
    assert receipt.tier == "edge"
    assert "not sure" in receipt.why
    # Used up on the way: what was said stays, the rest comes from below, and it says so.
    little = Terms(max_tier="edge", way="draft", budget_bytes=12_000)
    many = Sampling(max_tokens=160, bias=NEVER_ENDS)
    tokens, _, receipt = said(here, above, little, PROMPT, many, 0)
    assert receipt.tier == "device"
    assert "budget" in receipt.why
    assert set(receipt.tokens) == {"device", "edge"}
    assert len(tokens) == 160


def test_a_deadline_ends_the_waiting(small: Tiny, device: Engine) -> None:
    deaf = socket.create_server(("127.0.0.1", 0))
    above = above_at(deaf.getsockname()[1])
    terms = Terms(max_tier="edge", way="draft", deadline_s=0.1)
    _, _, receipt = said(small.here(device), above, terms, PROMPT, Sampling(max_tokens=4, bias=NEVER_ENDS))
    assert receipt.tier == "device"
    assert receipt.code == "KF493"
    assert receipt.said_tokens == 4
    above.close()
    deaf.close()


def test_what_can_not_be_is_said_before_anything_is_sent(small: Tiny, device: Engine, above: HttpAbove) -> None:
    here = replace(small.here(device), hands_over=False)
    with pytest.raises(WayImpossible):
        said(here, above, Terms(max_tier="edge", way="hidden"), PROMPT, Sampling())
    with pytest.raises(ContextTooLong, match="45"):
        said(here, above, Terms(max_tier="edge", way="draft"), [5] * 300, Sampling())


def test_the_tier_that_goes_mid_answer_leaves_the_rest_to_the_one_below(small: Tiny, device: Engine) -> None:
    sampling = Sampling(max_tokens=30, bias=NEVER_ENDS)

    class Dying(HttpAbove):
        left = 3

        def round(self, one):  # type: ignore[no-untyped-def]
            Dying.left -= 1
            if Dying.left < 0:
                raise self._away(ConnectionResetError("gone"))
            return super().round(one)

    with listening(small.upper()) as port:
        for way in ("draft", "hidden"):
            Dying.left = 3
            above = Dying(f"http://127.0.0.1:{port}", "", "edge")
            terms = Terms(max_tier="edge", way=way, kind="fp32")  # type: ignore[arg-type]
            tokens, _, receipt = said(small.here(device), above, terms, PROMPT, sampling, window=2)
            above.close()
            told = receipt.tokens["edge"]
            assert receipt.tier == "device"
            assert f"after {told} tokens" in receipt.why
            assert len(tokens) == 30
            rest = replace(sampling, max_tokens=30 - told)
            assert tokens[told:] == alone(device, [*PROMPT, *tokens[:told]], rest)[0]
