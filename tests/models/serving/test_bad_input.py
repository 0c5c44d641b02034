"""What is no request, or too much of one: an answer in the form of who asks, with a code from the catalogue."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.engine.fake import FakeEngine
from models.serving.api import serving_api
from models.serving.service import Service
from models.serving.stall_free import StallFreeScheduler

HELLO = [{"role": "user", "content": "hello"}]
MESSAGE: dict[str, Any] = {"max_tokens": 2, "messages": HELLO}
USE = {"type": "tool_use", "id": "a", "name": "b", "input": {}}


def tools(schema: Any, name: str = "light") -> dict[str, Any]:
    return {**MESSAGE, "tools": [{"name": name, "input_schema": schema}]}


def ask(calls: list[tuple[str, bytes]]) -> list[httpx.Response]:
    async def work() -> list[httpx.Response]:
        async def make() -> StallFreeScheduler:
            return await StallFreeScheduler.open(lambda: FakeEngine(sequences=2, context_tokens=1024))

        service = Service("fake", make)
        app = FastAPI()
        app.include_router(serving_api(service))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            found = [await client.post(f"/v1/{path}", content=body) for path, body in calls]
        await service.close()
        return found

    return asyncio.run(work())


def judged(path: str, answer: httpx.Response) -> str:
    """The code of a refusal."""
    assert 400 <= answer.status_code < 500, answer.text
    told = answer.json()
    assert (told.get("type") == "error") == path.startswith("messages")
    assert told["error"]["message"]
    assert told["error"]["type"]
    return str(told["error"]["kinflow_code"])


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("messages", {"messages": HELLO}, "KF501"),
        ("messages", {**MESSAGE, "max_tokens": 0}, "KF401"),
        ("messages", {**MESSAGE, "messages": []}, "KF501"),
        ("messages", {**MESSAGE, "messages": [{"role": "system", "content": "a"}]}, "KF501"),
        ("messages", {**MESSAGE, "messages": [{"role": "user", "content": [USE]}]}, "KF501"),
        ("messages", {**MESSAGE, "messages": [{"role": "user", "content": [{"type": "image"}]}]}, "KF501"),
        ("messages", {**MESSAGE, "messages": HELLO * 501}, "KF501"),
        ("messages", {**MESSAGE, "messages": [*HELLO, {"role": "assistant", "content": "I"}]}, "KF501"),
        ("messages", {**MESSAGE, "thinking": {"type": "enabled", "budget_tokens": 9}}, "KF501"),
        ("messages", {**MESSAGE, "temperature": 3}, "KF501"),
        ("messages", {**MESSAGE, "stop_sequences": ["a"] * 17}, "KF401"),
        ("messages", {**MESSAGE, "model": "claude"}, "KF501"),
        ("messages", {**MESSAGE, "system": "x" * 3000}, "KF394"),
        ("messages", tools({"type": 5}), "KF397"),
        ("messages", tools({"type": "string", "pattern": "x"}), "KF397"),
        ("messages", tools({}, "two words"), "KF501"),
        ("messages", {**tools({}), "tool_choice": {"type": "tool", "name": "door"}}, "KF501"),
        ("messages", {**tools({}), "output_config": {"format": {"type": "json_schema", "schema": {}}}}, "KF501"),
        ("messages/count_tokens", {"messages": []}, "KF501"),
        ("responses", {}, "KF501"),
        ("responses", {"input": []}, "KF501"),
        ("responses", {"input": [{"role": "user"}]}, "KF501"),
        ("responses", {"input": [{"type": "function_call"}]}, "KF501"),
        ("responses", {"input": [{"type": "item_reference", "id": "a"}]}, "KF501"),
        ("responses", {"input": "a", "background": True}, "KF501"),
        ("responses", {"input": "a", "previous_response_id": "resp_no"}, "KF507"),
        ("responses", {"input": "a", "text": {"format": {"type": "json_object"}}}, "KF501"),
        ("responses", {"input": "a", "tools": [{"type": "web_search"}]}, "KF501"),
        ("responses", {"input": "a", "max_output_tokens": -1}, "KF401"),
        ("responses", {"input": "x" * 3000}, "KF394"),
        ("embeddings", {}, "KF501"),
        ("embeddings", {"input": "a"}, "KF509"),
        ("chat/completions", {"messages": [{"role": "user", "content": None}]}, "KF501"),
        ("chat/completions", {"messages": [{"role": "robot", "content": "a"}]}, "KF501"),
        ("chat/completions", {"messages": HELLO, "deterministic": True}, "KF501"),
        ("chat/completions", {"messages": HELLO, "functions": [{}]}, "KF501"),
        ("completions", {"prompt": "a", "max_tokens": 1 << 40}, "KF401"),
        ("completions", {"prompt": "a", "seed": -1}, "KF401"),
        ("completions", {"prompt": "a", "logit_bias": {"one": 3}}, "KF501"),
    ],
)
def test_each_is_refused_with_its_code(path: str, body: Any, code: str) -> None:
    [answer] = ask([(path, json.dumps(body).encode())])
    assert judged(path, answer) == code


@pytest.mark.parametrize("path", ["chat/completions", "completions", "responses", "messages", "embeddings"])
def test_noise_is_no_request(path: str) -> None:
    noise = [b"", b"\xff\x00", b"[]", b"null", b"{" * 9000, b'{"messages": "\xed\xa0\x80"}', b" " * (5 << 20)]
    for answer in ask([(path, one) for one in noise]):
        assert judged(path, answer) == "KF501"


words = st.text(max_size=6)
values: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 1 << 70) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
START: dict[str, dict[str, Any]] = {
    "chat/completions": {"messages": HELLO, "max_tokens": 2},
    "responses": {"input": "hello", "max_output_tokens": 2},
    "messages": MESSAGE,
    "embeddings": {"input": "hello"},
}
FIELDS = [
    *("messages", "input", "tools", "tool_choice", "stop", "stop_sequences", "system", "instructions", "text"),
    *("metadata", "temperature", "top_p", "top_k", "seed", "logprobs", "top_logprobs", "response_format", "stream"),
    *("stream_options", "parallel_tool_calls", "output_config", "max_tokens", "truncation", "logit_bias", "model"),
]


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.sampled_from(sorted(START)), st.dictionaries(st.sampled_from(FIELDS), values, min_size=1, max_size=2))
def test_whatever_stands_in_a_field_it_is_answered_or_refused(path: str, more: dict[str, Any]) -> None:
    body = {**START[path], **more}
    if isinstance(body.get("max_tokens"), int):
        body["max_tokens"] = min(body["max_tokens"], 3)
    [answer] = ask([(path, json.dumps(body).encode())])
    if answer.status_code != 200:
        judged(path, answer)
