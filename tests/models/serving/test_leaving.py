"""Who leaves by closing a real connection; who wants nobody beside; whose earlier responses are kept."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine.fake import FakeEngine
from models.engine.port import Output, Piece
from models.engine.sampling import Sampling
from models.errors import ResponseGone
from models.escalation.served import served
from models.serving.asked import Ask, Bit
from models.serving.responses import Kept, Memory
from models.serving.template import Said
from tests.models.escalation.tiers import Tiny, family
from tests.models.serving import house

ENDLESS = {"max_tokens": 3000, "logit_bias": {"1": -100}}


class SlowEngine(FakeEngine):
    steps = 0

    def decode(self, pieces: Sequence[Piece]) -> list[Output]:
        type(self).steps += 1
        time.sleep(0.004)
        return super().decode(pieces)


def sent(url: str, path: str, body: dict[str, Any]) -> socket.socket:
    at = urlsplit(url)
    connection = socket.create_connection((at.hostname, at.port), timeout=10)
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Length: {len(data)}\r\n\r\n"
    connection.sendall(head.encode() + data)
    return connection


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["chat/completions", "messages", "responses"])
def test_who_closes_the_connection_is_computed_for_no_longer(path: str, stream: bool) -> None:
    served = house.served(lambda: SlowEngine(sequences=1, context_tokens=4096))
    said = [{"role": "user", "content": "hello"}]
    body = {
        "chat/completions": {"messages": said, **ENDLESS},
        "messages": {"messages": said, "max_tokens": 3000},
        "responses": {"input": "hello", "max_output_tokens": 3000},
    }[path]
    with house.door(served) as url:
        first = sent(url, f"/v1/{path}", {**body, "stream": stream})
        until(lambda: any(one.load.running for one in served.service.opened))
        [scheduler] = served.service.opened
        # One who waits for a turn and leaves before it comes is forgotten, too.
        second = sent(url, "/v1/completions", {"prompt": "a", **ENDLESS})
        until(lambda: scheduler.load.waiting == 1 or not scheduler.load.running)
        second.close()
        until(lambda: scheduler.load.waiting == 0)
        first.close()
        until(lambda: scheduler.load.running == 0)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder: Path = tmp_path_factory.mktemp("family")
    return Tiny(folder, family(folder))


@pytest.mark.timeout(120)
def test_a_deterministic_answer_is_the_same_to_the_bit_whoever_else_is_there(small: Tiny) -> None:
    """Logits, not only tokens: the logprobs are told as they were computed."""

    async def work() -> None:
        # As servers run: keys in F16 and fused attention, where a step's shape does change sums.
        holding = small.holding("large", sequences=3)
        holding.settings = type(holding.settings)(
            family=holding.settings.family, sequences=3, context_tokens=256, threads=1, fast=True
        )
        house = served(lambda: holding)
        service = house.service

        async def answer(deterministic: bool, prompt: Sequence[int], tokens: int = 24) -> list[Any]:
            sampling = Sampling(temperature=0.9, seed=5, logprobs=5, max_tokens=tokens, bias={2: float("-inf")})
            ask = Ask(model="", sampling=sampling, prompt=prompt, deterministic=deterministic)
            bits = [one async for one in service.answer(await service.prepare(ask))]
            return [one.logprobs for one in bits if isinstance(one, Bit) and one.logprobs]

        prompt = [1, *range(20, 110)]
        alone = await answer(True, prompt)
        assert len(alone) == 24
        for _ in range(2):
            neighbours = [asyncio.create_task(answer(False, [1, 30 + one] * 20, 40)) for one in range(3)]
            twins = [asyncio.create_task(answer(True, prompt)) for _ in range(2)]
            assert [await one for one in twins] == [alone, alone]
            await asyncio.gather(*neighbours)
        await house.close()

    asyncio.run(work())


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["x", "y"]), st.integers(0, 40)), max_size=30))
def test_kept_responses_are_bounded_and_each_tenants_own(puts: list[tuple[str, str, int]]) -> None:
    memory = Memory(most=4, most_letters=60)
    kept: dict[str, Kept] = {}
    for place, (name, tenant, letters) in enumerate(puts):
        one = Kept(tenant, (Said("user", "z" * letters),), {}, {"place": place})
        kept[f"{name}{place}"] = one
        memory.put(f"{name}{place}", one)
    found = 0
    total = 0
    for name, one in kept.items():
        other = "y" if one.tenant == "x" else "x"
        with pytest.raises(ResponseGone):
            memory.get(name, other)
        try:
            assert memory.get(name, one.tenant) is one
        except ResponseGone:
            assert not found, "the oldest go first"
            continue
        found += 1
        total += one.letters
    assert found <= 4
    assert total <= 60 or found == 1
