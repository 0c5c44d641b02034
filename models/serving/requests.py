"""What `/v1/chat/completions` and `/v1/completions` are asked: OpenAI's fields, as far as they are served. Other wishes
are refused, never left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from models.assistant.summary import TooLong
from models.engine.sampling import Sampling
from models.errors import RequestUnserved
from models.serving.asked import Ask
from models.serving.template import Role, Said
from models.serving.tools import Call, Chosen, Tool, Toolbox, call_said, result_said

MOST_MESSAGES = 500
DEFAULT_TOKENS = 256
Finite = Annotated[float, Meta(ge=-1e6, le=1e6)]
R = TypeVar("R", bound=Struct)


class TextPart(Struct, frozen=True, kw_only=True):
    type: Literal["text"]
    text: str


class Called(Struct, frozen=True, kw_only=True):
    name: str
    arguments: str


class ToolCall(Struct, frozen=True, kw_only=True):
    id: str
    function: Called
    type: Literal["function"] = "function"


class Message(Struct, frozen=True, kw_only=True):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | tuple[TextPart, ...] | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        return "".join(part.text for part in self.content)


class Function(Struct, frozen=True, kw_only=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class FunctionTool(Struct, frozen=True, kw_only=True):
    type: Literal["function"]
    function: Function


class Named(Struct, frozen=True, kw_only=True):
    name: str


class ToolChoice(Struct, frozen=True, kw_only=True):
    type: Literal["function"]
    function: Named


class StreamOptions(Struct, frozen=True, kw_only=True):
    include_usage: bool = False


class _Asked(Struct, frozen=True, kw_only=True):
    """Both kinds of request. too_long, deterministic: as `Ask`'s (ours, not OpenAI's)."""

    model: str = ""
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    stop: str | tuple[str, ...] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    logit_bias: dict[str, Finite] | None = None
    too_long: TooLong = "refuse"
    deterministic: bool = False
    # What would change the answer and is not done.
    n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None

    @property
    def with_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    def sampling(self, logprobs: int | None, schema: Mapping[str, Any] | None) -> Sampling:
        """Raises SamplingInvalid (KF401), RequestUnserved (KF501)."""
        given = () if self.stop is None else (self.stop,) if isinstance(self.stop, str) else self.stop
        tokens = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        return Sampling(
            temperature=1.0 if self.temperature is None else self.temperature,
            top_k=self.top_k or 0,
            top_p=1.0 if self.top_p is None else self.top_p,
            min_p=self.min_p or 0.0,
            seed=self.seed,
            stop=given,
            bias=_bias(self.logit_bias or {}),
            schema=schema,
            logprobs=logprobs,
            max_tokens=DEFAULT_TOKENS if tokens is None else tokens,
        )


class Chat(_Asked, frozen=True, kw_only=True):
    messages: tuple[Message, ...]
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: dict[str, Any] | None = None
    tools: tuple[FunctionTool, ...] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: tuple[Any, ...] | None = None

    @property
    def said(self) -> list[Said]:
        """Raises RequestUnserved (KF501)."""
        found: list[Said] = []
        names: dict[str, str] = {}
        for one in self.messages:
            found += _said(one, names)
        return found

    @property
    def toolbox(self) -> Toolbox | None:
        """Raises RequestUnserved (KF501)."""
        if not self.tools:
            return None
        tools = tuple(
            Tool(one.function.name, one.function.description or "", one.function.parameters or {}) for one in self.tools
        )
        choice = self.tool_choice
        named = choice.function.name if isinstance(choice, ToolChoice) else ""
        chosen: Chosen = "required" if isinstance(choice, ToolChoice) else choice or "auto"
        return Toolbox(tools, chosen, named, parallel=self.parallel_tool_calls is not False)

    @property
    def logprobs_told(self) -> int | None:
        return (self.top_logprobs or 0) if self.logprobs else None


class Completion(_Asked, frozen=True, kw_only=True):
    """prompt: text, or tokens of this member's own vocabulary, which is how another tier of the family asks, with
    json_schema (ours, not OpenAI's) in place of a response_format."""

    prompt: str | tuple[int, ...]
    logprobs: int | None = None
    echo: bool = False
    suffix: str | None = None
    best_of: int | None = None
    json_schema: dict[str, Any] | None = None


def read_chat(body: bytes) -> tuple[Chat, Ask]:
    """Raises RequestUnserved (KF501), SamplingInvalid (KF401)."""
    asked = read(body, Chat)
    if not 0 < len(asked.messages) <= MOST_MESSAGES:
        raise RequestUnserved(detail=f"messages: 1 to {MOST_MESSAGES} are taken, not {len(asked.messages)}")
    _refuse(asked, functions=asked.functions)
    schema = schema_of(asked.response_format)
    return asked, Ask(
        model=asked.model,
        said=asked.said,
        sampling=asked.sampling(asked.logprobs_told, schema),
        too_long=asked.too_long,
        stream=asked.stream,
        deterministic=asked.deterministic,
        tools=asked.toolbox,
    )


def read_completion(body: bytes) -> tuple[Completion, Ask]:
    """Raises RequestUnserved (KF501), SamplingInvalid (KF401)."""
    asked = read(body, Completion)
    _refuse(asked, echo=asked.echo, suffix=asked.suffix, best_of=(asked.best_of or 1) > 1)
    return asked, Ask(
        model=asked.model,
        prompt=asked.prompt,
        sampling=asked.sampling(asked.logprobs, asked.json_schema),
        too_long=asked.too_long,
        stream=asked.stream,
        deterministic=asked.deterministic,
    )


def schema_of(given: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Of a response_format. Raises RequestUnserved (KF501)."""
    if given is None or given.get("type") == "text":
        return None
    if given.get("type") == "json_schema":
        # Within an object of its own in a chat, beside the type in a response.
        inner = given.get("json_schema", given)
        schema = inner.get("schema") if isinstance(inner, dict) else None
        if isinstance(schema, dict):
            return schema
    raise RequestUnserved(detail="response_format: text, or json_schema with a schema, are taken")


def read(body: bytes, kind: type[R]) -> R:
    """Raises RequestUnserved (KF501)."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestUnserved(detail=str(error)[:200]) from error


def _said(one: Message, names: dict[str, str]) -> list[Said]:
    """names: of calls that were made before, by their ids."""
    calls = one.tool_calls or ()
    if one.content is None and not calls:
        raise RequestUnserved(detail="messages: one has no content")
    if one.role == "tool":
        return [result_said(names.get(one.tool_call_id or "", ""), one.text)]
    role: Role = "system" if one.role == "developer" else one.role
    found = [Said(role, one.text)] if one.text or not calls else []
    names.update({call.id: call.function.name for call in calls})
    if calls:
        found.append(call_said([Call(call.function.name, call.function.arguments) for call in calls]))
    return found


def _refuse(asked: _Asked, **also: object) -> None:
    wishes = {
        "n": asked.n not in (None, 1),
        "presence_penalty": asked.presence_penalty,
        "frequency_penalty": asked.frequency_penalty,
        **also,
    }
    for name, wished in wishes.items():
        if wished:
            raise RequestUnserved(detail=f"{name}: this is not done here")


def _bias(given: Mapping[str, float]) -> dict[int, float]:
    if not all(name.isdecimal() for name in given):
        raise RequestUnserved(detail="logit_bias: its names are numbers of tokens")
    # OpenAI: -100 is never, 100 is always.
    return {int(name): float("-inf") if value <= -100 else value for name, value in given.items()}
