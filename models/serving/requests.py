"""What `/v1` is asked: OpenAI's fields, as far as they are served. Other wishes are refused, never left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from models.assistant.summary import TooLong
from models.engine.sampling import Sampling
from models.errors import RequestUnserved
from models.serving.template import Said

MOST_MESSAGES = 500
DEFAULT_TOKENS = 256
Finite = Annotated[float, Meta(ge=-1e6, le=1e6)]
R = TypeVar("R", bound="_Asked")


class TextPart(Struct, frozen=True, kw_only=True):
    type: Literal["text"]
    text: str


class Message(Struct, frozen=True, kw_only=True):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | tuple[TextPart, ...]

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class StreamOptions(Struct, frozen=True, kw_only=True):
    include_usage: bool = False


class _Asked(Struct, frozen=True, kw_only=True):
    """Both kinds of request. too_long: what is done with a context that does not fit: refuse it, keep its newest
    part, or sentences of what is older (ours, not OpenAI's; fitting.py)."""

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
    # What would change the answer and is not done.
    n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None

    @property
    def with_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    def sampling(self, stops: Sequence[str], logprobs: int | None, schema: Mapping[str, Any] | None) -> Sampling:
        """Raises SamplingInvalid (KF401), RequestUnserved (KF501)."""
        given = () if self.stop is None else (self.stop,) if isinstance(self.stop, str) else self.stop
        tokens = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        return Sampling(
            temperature=1.0 if self.temperature is None else self.temperature,
            top_k=self.top_k or 0,
            top_p=1.0 if self.top_p is None else self.top_p,
            min_p=self.min_p or 0.0,
            seed=self.seed,
            stop=(*given, *stops),
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
    tools: tuple[Any, ...] | None = None
    functions: tuple[Any, ...] | None = None

    @property
    def said(self) -> list[Said]:
        roles = {"developer": "system"}
        return [Said(roles.get(one.role, one.role), one.text) for one in self.messages]  # type: ignore[arg-type]

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


def read_chat(body: bytes) -> Chat:
    """Raises RequestUnserved (KF501)."""
    asked = _read(body, Chat)
    if not 0 < len(asked.messages) <= MOST_MESSAGES:
        raise RequestUnserved(detail=f"messages: 1 to {MOST_MESSAGES} are taken, not {len(asked.messages)}")
    _refuse(asked, tools=asked.tools, functions=asked.functions)
    return asked


def read_completion(body: bytes) -> Completion:
    """Raises RequestUnserved (KF501)."""
    asked = _read(body, Completion)
    _refuse(asked, echo=asked.echo, suffix=asked.suffix, best_of=(asked.best_of or 1) > 1)
    return asked


def schema_of(asked: Chat) -> Mapping[str, Any] | None:
    """Raises RequestUnserved (KF501)."""
    given = asked.response_format
    if given is None or given.get("type") == "text":
        return None
    if given.get("type") == "json_schema":
        inner = given.get("json_schema")
        schema = inner.get("schema") if isinstance(inner, dict) else None
        if isinstance(schema, dict):
            return schema
    raise RequestUnserved(detail="response_format: text, or json_schema with a schema, are taken")


def _read(body: bytes, kind: type[R]) -> R:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestUnserved(detail=str(error)[:200]) from error


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
