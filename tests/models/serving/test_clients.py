"""The official clients of OpenAI and Anthropic, against a real server on loopback: kin, a tiny model, and a fake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import numpy as np
import openai
import pytest

from models.escalation.served import served_of
from node.config.schema import Serving
from tests.models.serving import house

ASKED: list[Any] = [{"role": "user", "content": "Is the road free?"}]
# This client has no parameter for it any more; the protocol has.
COLD: dict[str, Any] = {"extra_body": {"temperature": 0}}
WEATHER = {
    "type": "object",
    "properties": {"road": {"enum": ["north", "south"]}, "minutes": {"$ref": "#/$defs/few"}},
    "required": ["road", "minutes"],
    "additionalProperties": False,
    "$defs": {"few": {"enum": [5, 15]}},
}


@pytest.fixture(scope="module")
def kin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The family that comes with Kinflow."""
    home = tmp_path_factory.mktemp("home")
    served = served_of(home, Serving(sequences=2, context_tokens=1024, threads=1), "edge")
    assert served is not None
    with house.door(served) as url:
        yield url


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with house.door(house.fake()) as url:
        yield url


@pytest.fixture
def ours(kin: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{kin}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def theirs(kin: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=kin, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def name(kin: str) -> str:
    with openai.OpenAI(base_url=f"{kin}/v1", api_key="none") as client:
        return client.models.list().data[0].id


# --- OpenAI -----------------------------------------------------------------------------------------------------------


def test_models_are_listed_and_told_one_by_one(ours: openai.OpenAI, theirs: anthropic.Anthropic, name: str) -> None:
    assert ours.models.retrieve(name).owned_by == "kinflow"
    assert theirs.models.list().data[0].id == theirs.models.retrieve(name).id == name
    with pytest.raises(openai.NotFoundError) as refused:
        ours.models.retrieve("gpt-9")
    assert refused.value.body["kinflow_code"] == "KF508"  # type: ignore[index]


def test_a_chat_streams_what_it_says_whole(ours: openai.OpenAI, name: str) -> None:
    wish: dict[str, Any] = {"model": name, "messages": ASKED, "temperature": 0, "max_tokens": 24}
    whole = ours.chat.completions.create(**wish)
    pieces = list(ours.chat.completions.create(**wish, stream=True, stream_options={"include_usage": True}))
    text = "".join(one.choices[0].delta.content or "" for one in pieces if one.choices)
    assert text == whole.choices[0].message.content
    assert pieces[-1].usage is not None
    assert pieces[-1].usage.total_tokens == whole.usage.total_tokens  # type: ignore[union-attr]


def tool(name: str = "wait_time", schema: Any = WEATHER) -> Any:
    return {"type": "function", "function": {"name": name, "description": "How long.", "parameters": schema}}


def test_a_tool_that_must_be_called_is_called_as_its_schema_says(ours: openai.OpenAI, name: str) -> None:
    wish: dict[str, Any] = {"model": name, "messages": ASKED, "tools": [tool(), tool("other", {})], "max_tokens": 200}
    named = {"type": "function", "function": {"name": "wait_time"}}
    answer = ours.chat.completions.create(**wish, tool_choice=named, seed=3)
    assert answer.choices[0].finish_reason == "tool_calls"
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert len(calls) == 1
    given = json.loads(calls[0].function.arguments)
    assert (calls[0].function.name, given["road"] in ("north", "south"), given["minutes"] in (5, 15)) == (
        "wait_time",
        True,
        True,
    )
    # What it gave goes back, and is answered in words.
    back = [
        *ASKED,
        answer.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": calls[0].id, "content": "4 minutes"},
    ]
    said = ours.chat.completions.create(model=name, messages=back, max_tokens=8, tools=[tool()], tool_choice="none")
    assert said.choices[0].message.tool_calls is None
    assert said.choices[0].finish_reason in ("stop", "length")


def test_any_tool_may_be_called_and_a_stream_tells_the_same_calls(ours: openai.OpenAI, name: str) -> None:
    wish: dict[str, Any] = {
        "model": name,
        "messages": ASKED,
        "tools": [tool(), tool("other", {})],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "max_tokens": 200,
        "temperature": 0,
    }
    whole = ours.chat.completions.create(**wish).choices[0].message.tool_calls
    assert whole is not None
    assert len(whole) == 1
    with ours.chat.completions.stream(**{key: wish[key] for key in wish if key != "stream"}) as stream:
        final = stream.get_final_completion()
    told = final.choices[0].message.tool_calls
    assert told is not None
    assert [(one.function.name, one.function.arguments) for one in told] == [
        (one.function.name, one.function.arguments) for one in whole
    ]


def test_a_response_streams_its_events_in_order_and_is_gone_on_from(ours: openai.OpenAI, name: str) -> None:
    wish: dict[str, Any] = {"model": name, "temperature": 0, "max_output_tokens": 8, "instructions": "Be short."}
    first = ours.responses.create(**wish, input="Is the road free?")
    assert first.status in ("completed", "incomplete")
    with ours.responses.stream(**wish, input="Is the road free?") as stream:
        events = [event.type for event in stream]
        streamed = stream.get_final_response() if first.status == "completed" else None
    if streamed is not None:
        assert streamed.output_text == first.output_text
    assert events[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert events[-1] == f"response.{first.status}"
    assert events[-4:-1] == ["response.output_text.done", "response.content_part.done", "response.output_item.done"]
    second = ours.responses.create(**wish, input="And now?", previous_response_id=first.id)
    alone = ours.responses.create(**wish, input="And now?", store=False)
    assert second.usage.input_tokens > alone.usage.input_tokens  # type: ignore[union-attr]
    assert ours.responses.retrieve(first.id).output_text == first.output_text
    ours.responses.delete(first.id)
    for gone in (first.id, alone.id):
        with pytest.raises(openai.NotFoundError):
            ours.responses.create(**wish, input="Again", previous_response_id=gone)


def test_a_response_holds_to_a_schema_and_calls_functions(ours: openai.OpenAI, name: str) -> None:
    form: Any = {"format": {"type": "json_schema", "name": "wait", "schema": WEATHER, "strict": True}}
    said = ours.responses.create(model=name, input="How long?", text=form, max_output_tokens=200)
    assert json.loads(said.output_text)["minutes"] in (5, 15)
    function: Any = {"type": "function", "name": "wait_time", "parameters": WEATHER, "strict": True}
    wish: Any = {"model": name, "tools": [function], "tool_choice": "required", "max_output_tokens": 200}
    called = ours.responses.create(**wish, input="How long?", parallel_tool_calls=False)
    [call] = called.output
    assert call.type == "function_call"
    assert json.loads(call.arguments)["road"] in ("north", "south")
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "4 minutes"}
    after = ours.responses.create(model=name, input=[output], previous_response_id=called.id, max_output_tokens=8)
    assert after.output[0].type == "message"


def test_embeddings_are_directions_and_their_two_encodings_say_the_same(ours: openai.OpenAI, name: str) -> None:
    texts = ["the road is free", "the road is free", "seven zebras"]
    packed = ours.embeddings.create(model=name, input=texts)
    plain = ours.embeddings.create(model=name, input=texts, encoding_format="float")
    vectors = np.array([one.embedding for one in packed.data])
    np.testing.assert_allclose(vectors, [one.embedding for one in plain.data], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.9999 > vectors[0] @ vectors[2]


def test_what_can_not_be_embedded_is_refused_with_its_code(url: str) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            client.embeddings.create(model="fake", input="a")
        assert refused.value.body["kinflow_code"] == "KF509"  # type: ignore[index]


# --- Anthropic --------------------------------------------------------------------------------------------------------


def test_a_message_streams_what_it_says_whole(theirs: anthropic.Anthropic, name: str) -> None:
    wish: dict[str, Any] = {"model": name, "max_tokens": 16, "system": "Be short.", "messages": ASKED, **COLD}
    whole = theirs.messages.create(**wish)
    assert whole.stop_reason in ("end_turn", "max_tokens")
    with theirs.messages.stream(**wish) as stream:
        kinds = [event.type for event in stream if event.type != "text"]
        final = stream.get_final_message()
    assert final.content[0].text == whole.content[0].text  # type: ignore[union-attr]
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    counted = theirs.messages.count_tokens(model=name, system="Be short.", messages=ASKED)
    assert counted.input_tokens == whole.usage.input_tokens


def test_a_stop_sequence_is_told(url: str) -> None:
    with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0) as client:
        wish: dict[str, Any] = {"model": "fake", "max_tokens": 60, "messages": ASKED, **COLD}
        text = client.messages.create(**wish).content[0].text  # type: ignore[union-attr]
        stop = next(one for one in text if one.isascii() and one.isprintable())
        cut = client.messages.create(**wish, stop_sequences=[stop])
        assert (cut.stop_reason, cut.stop_sequence) == ("stop_sequence", stop)


def test_a_tool_use_is_a_block_and_its_result_goes_back(theirs: anthropic.Anthropic, name: str) -> None:
    tools: Any = [{"name": "wait_time", "description": "How long.", "input_schema": WEATHER}]
    wish: Any = {"model": name, "max_tokens": 200, "tools": tools, "tool_choice": {"type": "tool", "name": "wait_time"}}
    answer = theirs.messages.create(**wish, messages=ASKED)
    assert answer.stop_reason == "tool_use"
    [use] = answer.content
    assert use.type == "tool_use"
    assert use.input["minutes"] in (5, 15)
    with theirs.messages.stream(**wish, messages=ASKED) as stream:
        streamed = stream.get_final_message()
    assert streamed.content[0].type == "tool_use"
    assert streamed.content[0].input["road"] in ("north", "south")
    result = {"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": "4 minutes"}]}
    back: Any = [*ASKED, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
    after = theirs.messages.create(model=name, max_tokens=8, messages=back)
    assert after.content[0].type == "text"


def test_errors_come_as_each_client_reads_them(url: str) -> None:
    long = [{"role": "user", "content": "x" * 9000}]
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(model="fake", messages=long)  # type: ignore[arg-type]
        assert refused.value.code == "context_length_exceeded"
    with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0) as other:
        with pytest.raises(anthropic.BadRequestError) as told:
            other.messages.create(model="fake", max_tokens=5, messages=long)  # type: ignore[arg-type]
        error = told.value.body["error"]  # type: ignore[index]
        assert (error["type"], error["kinflow_code"]) == ("invalid_request_error", "KF394")


def test_kin_is_there(tmp_path: Path) -> None:
    """Else the tests above would have judged nothing."""
    assert served_of(tmp_path, Serving(), "edge") is not None
