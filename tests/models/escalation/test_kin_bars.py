"""The bars of draft and verify with kin, over a thousand answers to held-back questions, by two tiers that really talk.

pytest -m slow -s tests/models/escalation/test_kin_bars.py      # some minutes; prints its figures
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.eval.assistant import HELD_BACK, read_questions
from models.engine.generate import generate
from models.engine.port import Engine, Floats, Piece
from models.engine.sampling import Sampling, filtered
from models.escalation.answer import Answering, Bit, Here
from models.escalation.lower import lower_of
from models.escalation.port import Question
from models.escalation.receipt import Receipt, Terms
from models.escalation.served import served
from models.serving.holding import find_holding
from models.serving.template import Said, stops_of, tokens_of
from node.config.schema import Serving
from tests.models.escalation.tiers import above_at, listening

ANSWERS, DRAWS, TOKENS = 1_000, 1_500, 24
# Adapted, it would follow this machine's load.
WINDOW = 8
# Logits of two likeliest tokens that are nearer than this may change places with a step's shape.
TIE = 0.02
SETTINGS = Serving(sequences=4, context_tokens=256, threads=1, fast=False)
DRAFT = Terms(max_tier="edge", way="draft")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def large(home: Path) -> Iterator[Engine]:
    engine = find_holding(home, SETTINGS, "edge").engine(sequences=1)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def here(home: Path) -> Iterator[Here]:
    made = lower_of(find_holding(home, SETTINGS, "device"), "device")
    yield made
    made.engine.close()


@pytest.fixture
def port(home: Path) -> Iterator[int]:
    """The edge, which closes its weights when it ends."""
    with listening(served(lambda: find_holding(home, SETTINGS, "edge"))) as port:
        yield port


def prompts(engine: Engine) -> list[list[int]]:
    """The held-back questions, and then their beginnings: without the last word, the last two, and so on."""
    questions = [one.question for one in read_questions(HELD_BACK)]
    texts, cut = list(dict.fromkeys(questions)), 1
    while len(texts) < ANSWERS:
        shorter = (" ".join(one.split()[:-cut]) for one in questions if len(one.split()) > cut + 1)
        texts, cut = list(dict.fromkeys([*texts, *shorter])), cut + 1
    return [tokens_of(engine, [Said("user", one)]) for one in texts[:ANSWERS]]


def rows(engine: Engine, tokens: Sequence[int]) -> Floats:
    engine.rollback(0, 0)
    return engine.decode([Piece(0, tokens, wanted="all")])[0].logits


def gap(logits: Floats) -> float:
    first, second = np.sort(logits)[-1:-3:-1]
    return float(first - second)


def test_a_thousand_answers_are_the_edges_own_in_half_of_its_steps(port: int, large: Engine, here: Here) -> None:
    sampling = Sampling(max_tokens=TOKENS, stop=stops_of(large))
    said = rounds = drafted = accepted = 0
    other_batch, ties_batch, other_single, ties_single = 0, 0, 0, 0
    above = above_at(port)
    for prompt in prompts(large):
        asked = Answering(here, above, DRAFT, window=WINDOW)
        *bits, receipt = asked.answer(Question(prompt, ""), sampling)
        assert isinstance(receipt, Receipt)
        assert receipt.code == ""
        tokens = [one.choice.token for one in bits if isinstance(one, Bit) and one.choice is not None]
        said, rounds = said + len(tokens), rounds + receipt.rounds
        drafted, accepted = drafted + receipt.drafted, accepted + receipt.accepted
        # Its path of verification: all rows in one step.
        logits = rows(large, [*prompt, *tokens[:-1]])[len(prompt) - 1 :]
        off = [place for place, token in enumerate(tokens) if int(logits[place].argmax()) != token]
        ties_batch += bool(off) and gap(logits[off[0]]) <= TIE
        other_batch += bool(off) and gap(logits[off[0]]) > TIE
        large.rollback(0, 0)
        single = [step.choice.token for step in generate(large, 0, prompt, sampling)]
        if tokens != single:
            place = next(at for at, (a, b) in enumerate(zip(tokens, single, strict=False)) if a != b)
            ties_single += gap(logits[place]) <= TIE
            other_single += gap(logits[place]) > TIE
    above.close()
    print(
        f"\n{ANSWERS} answers, {said} tokens in {rounds} steps of the edge ({rounds / said:.3f}); {accepted} of "
        f"{drafted} drafted tokens accepted; against all rows at once: {ties_batch} near ties, {other_batch} other; "
        f"against single steps: {ties_single} near ties, {other_single} other"
    )
    assert other_batch == 0
    assert other_single == 0
    assert rounds <= 0.5 * said


def test_at_a_temperature_tokens_come_as_the_edge_alone_draws_them(port: int, large: Engine, here: Here) -> None:
    """Chi-square over the first two tokens of an answer, at temperature 0.8."""
    sampling = Sampling(temperature=0.8, top_k=20, max_tokens=2)
    prompt = tokens_of(large, [Said("user", "Is there an ambulance on its way?")])
    first = filtered(rows(large, prompt)[-1], sampling)
    expected: dict[tuple[int, int], float] = {}
    for one in np.flatnonzero(first):
        second = filtered(rows(large, [*prompt, int(one)])[-1], sampling)
        ends = int(one) in large.facts.ends
        for two in [-1] if ends else np.flatnonzero(second):
            expected[int(one), int(two)] = DRAWS * float(first[one] * (1 if ends else second[two]))
    counts: Counter[tuple[int, int]] = Counter()
    accepted = 0
    above = above_at(port)
    for seed in range(DRAWS):
        drawn = Sampling(temperature=0.8, top_k=20, max_tokens=2, seed=seed)
        *bits, receipt = Answering(here, above, DRAFT, window=1).answer(Question(prompt, ""), drawn)
        assert isinstance(receipt, Receipt)
        assert receipt.code == ""
        accepted += receipt.accepted
        tokens = [one.choice.token for one in bits if isinstance(one, Bit) and one.choice is not None]
        counts[tokens[0], tokens[1] if len(tokens) > 1 else -1] += 1
    above.close()
    assert set(counts) <= set(expected)
    many = [pair for pair, count in expected.items() if count >= 5]
    rest = DRAWS - sum(expected[pair] for pair in many)
    statistic = sum((counts[pair] - expected[pair]) ** 2 / expected[pair] for pair in many)
    seen = DRAWS - sum(counts[pair] for pair in many)
    statistic += (seen - rest) ** 2 / rest if rest > 1 else 0.0
    freedom = len(many) - (rest <= 1)
    # Wilson and Hilferty (1931): 99.9 % of a chi-square's values lie below.
    limit = freedom * (1 - 2 / (9 * freedom) + 3.09 * (2 / (9 * freedom)) ** 0.5) ** 3
    print(
        f"\nchi-square {statistic:.1f} of at most {limit:.1f} ({freedom} degrees, {DRAWS} answers, {accepted} accepted)"
    )
    assert accepted > DRAWS / 10
    assert statistic < limit
