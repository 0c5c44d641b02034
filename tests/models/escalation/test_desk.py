"""The upper tier's desk by itself: rounds that come twice, late, wrong or never."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine.fake import FakeEngine
from models.engine.port import Piece
from models.engine.sampling import Sampling, filtered
from models.errors import ContextTooLong, HiddenForeign, QueueFull, RequestUnserved, SessionGone, TierForeign
from models.escalation.desk import Identity, SessionDesk, sampling_of, wish_of
from models.escalation.spread import rounded, table
from models.serving.fifo import FifoScheduler
from protocol.errors import KinflowError, MessageMalformed, MessageTooLarge, MessageVersionUnknown
from protocol.tiers import LIMIT_BYTES, VERSION, Opening, Round, Wish, decode, encode

HASH = "a" * 64
IDENTITY = Identity("fake", "1", HASH, "", "large")
OPENING = Opening(family="fake", version="1", tokenizer=HASH, way="draft")


class Tier:
    """A desk on the fake engine."""

    def __init__(self, idle_s: float = 30.0, **engine: Any) -> None:
        self._idle_s, self._engine = idle_s, {"sequences": 4, "context_tokens": 256, **engine}

    async def __aenter__(self) -> Tier:
        self.scheduler = await FifoScheduler.open(lambda: FakeEngine(**self._engine))

        async def open_way(way: str, after: int) -> FifoScheduler:
            return self.scheduler

        self.desk = SessionDesk(lambda: IDENTITY, open_way, self._idle_s)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.desk.close_all()
        await self.scheduler.close()


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


def asked(session: str, number: int, start: int, tokens: tuple[int, ...], drafted: int = 0, **more: Any) -> Round:
    return Round(session=session, number=number, start=start, tokens=tokens, drafted=drafted, **{"wants": True, **more})


def test_the_same_round_again_gives_the_same_verdict_and_computes_nothing() -> None:
    async def work() -> None:
        async with Tier() as tier:
            opened = await tier.desk.open(OPENING)
            first = asked(opened.session, 1, 0, (2, 3, 4, 9, 9), 2)
            verdict = await tier.desk.round(first)
            assert await tier.desk.round(first) == verdict
            assert verdict.held == 3 + verdict.accepted
            again = asked(opened.session, 2, verdict.held, (verdict.chosen[-1].token,))
            assert (await tier.desk.round(again)).held == verdict.held + 1

    run(work)


def test_rounds_out_of_order_late_or_in_the_wrong_place_end_the_session() -> None:
    async def work() -> None:
        async with Tier() as tier:
            for number, start in ((2, 0), (1, 5)):
                opened = await tier.desk.open(OPENING)
                with pytest.raises(SessionGone):
                    await tier.desk.round(asked(opened.session, number, start, (2, 3)))
                with pytest.raises(SessionGone):
                    await tier.desk.round(asked(opened.session, 1, 0, (2, 3)))
            assert tier.desk.count == 0
            await settled(lambda: tier.scheduler.load.running == 0)

    run(work)


def test_an_idle_session_gives_its_sequence_back() -> None:
    async def work() -> None:
        async with Tier(idle_s=0.05) as tier:
            opened = await tier.desk.open(OPENING)
            await settled(lambda: tier.desk.count == 0 and tier.scheduler.load.running == 0)
            with pytest.raises(SessionGone):
                await tier.desk.round(asked(opened.session, 1, 0, (2,)))

    run(work)


def test_sessions_never_take_all_of_the_sequences() -> None:
    async def work() -> None:
        async with Tier(sequences=4) as tier:
            await tier.desk.open(OPENING)
            await tier.desk.open(OPENING)
            with pytest.raises(QueueFull):
                await tier.desk.open(OPENING)
            steps = [one async for one in tier.scheduler.answer([2, 3], Sampling(max_tokens=3))]
            assert steps[-1].ended

    run(work)


@pytest.mark.parametrize(
    ("tokens", "drafted", "more", "error"),
    [
        ((), 0, {}, HiddenForeign),
        ((2,), 1, {}, HiddenForeign),
        ((2, 999), 0, {}, RequestUnserved),
        ((2,) * 65, 0, {}, ContextTooLong),
        ((2, 3), 0, {"hidden": b"noise"}, HiddenForeign),
        ((2, 3), 1, {"spreads": (rounded(np.eye(258)[7]),)}, RequestUnserved),
    ],
)
def test_a_round_that_does_not_add_up_is_refused(
    tokens: tuple[int, ...], drafted: int, more: dict[str, Any], error: type[KinflowError]
) -> None:
    async def work() -> None:
        async with Tier() as tier:
            opened = await tier.desk.open(OPENING)
            with pytest.raises(error):
                await tier.desk.round(asked(opened.session, 1, 0, tokens, drafted, **more))
            assert tier.desk.count == 0

    run(work)


def test_a_foreign_tier_is_refused() -> None:
    async def work() -> None:
        async with Tier() as tier:
            for changed in ({"tokenizer": "b" * 64}, {"way": "hidden", "source": "b" * 64}, {"way": "hidden"}):
                with pytest.raises(TierForeign):
                    await tier.desk.open(msgspec.structs.replace(OPENING, **changed))

    run(work)


def test_sampled_drafts_give_the_upper_tiers_own_distribution() -> None:
    """Chi-square over the first two tokens behind a draft of another distribution (temperature 0.8, top-k 6)."""
    draws, sampling = 1_500, Sampling(temperature=0.8, top_k=6)
    upper, lower = FakeEngine(), FakeEngine(seed=9)

    def distribution(engine: FakeEngine, tokens: list[int]) -> np.ndarray:
        engine.rollback(0, 0)
        return filtered(engine.decode([Piece(0, tokens)])[0].logits[0], sampling)

    prompt = (5, 6, 7)
    target = distribution(upper, list(prompt))
    # A drafter that is wrong, and overlaps.
    first = rounded(0.5 * target + 0.5 * distribution(lower, list(prompt)), 24)
    places, weights = table(first)
    rng = np.random.default_rng(3)

    async def work() -> dict[tuple[int, int], int]:
        counts: dict[tuple[int, int], int] = {}
        async with Tier(sequences=4, context_tokens=64) as tier:
            for number in range(draws):
                token = int(rng.choice(places, p=weights))
                opening = msgspec.structs.replace(OPENING, wish=Wish(temperature=0.8, top_k=6, seed=number))
                opened = await tier.desk.open(opening)
                verdict = await tier.desk.round(asked(opened.session, 1, 0, (*prompt, token), 1, spreads=(first,)))
                chosen = [one.token for one in verdict.chosen]
                if len(chosen) == 1:
                    more = await tier.desk.round(asked(opened.session, 2, verdict.held, (chosen[0],)))
                    chosen.append(more.chosen[0].token)
                tier.desk.close(opened.session)
                counts[chosen[0], chosen[1]] = counts.get((chosen[0], chosen[1]), 0) + 1
        return counts

    counts = asyncio.run(work())
    expected: dict[tuple[int, int], float] = {}
    for one in np.flatnonzero(target):
        behind = distribution(upper, [*prompt, int(one)])
        for two in np.flatnonzero(behind):
            expected[int(one), int(two)] = draws * float(target[one] * behind[two])
    assert set(counts) <= set(expected)
    large = [pair for pair, count in expected.items() if count >= 5]
    rest = draws - sum(expected[pair] for pair in large)
    statistic = sum((counts.get(pair, 0) - expected[pair]) ** 2 / expected[pair] for pair in large)
    seen = draws - sum(counts.get(pair, 0) for pair in large)
    statistic += (seen - rest) ** 2 / rest if rest > 1 else 0.0
    freedom = len(large) - (rest <= 1)
    # Wilson and Hilferty (1931): 99.9 % of a chi-square's values lie below.
    limit = freedom * (1 - 2 / (9 * freedom) + 3.09 * (2 / (9 * freedom)) ** 0.5) ** 3
    assert statistic < limit


def test_a_wish_says_all_of_a_sampling_that_chooses_tokens() -> None:
    sampling = Sampling(temperature=0.5, top_k=7, top_p=0.9, min_p=0.1, seed=3, bias={4: 1.5}, logprobs=2)
    assert sampling_of(wish_of(sampling)) == sampling
    assert decode(Opening, encode(msgspec.structs.replace(OPENING, wish=wish_of(sampling)))).wish == wish_of(sampling)


def test_frames_of_another_version_and_size_are_told_apart() -> None:
    with pytest.raises(MessageVersionUnknown):
        decode(Opening, msgspec.msgpack.encode({"v": VERSION + 1, "new": 1}))
    with pytest.raises(MessageTooLarge):
        decode(Round, bytes(LIMIT_BYTES + 1))


@given(st.binary(max_size=120))
def test_noise_is_no_frame(noise: bytes) -> None:
    for kind in (Opening, Round):
        with pytest.raises((MessageMalformed, MessageVersionUnknown)):
            decode(kind, noise)


async def settled(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.005)
