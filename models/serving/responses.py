"""What `/v1/responses` is asked (OpenAI's newer protocol), and the earlier answers that a request may go on from."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from msgspec import Struct

from models.engine.sampling import Sampling
from models.errors import RequestUnserved, ResponseGone
from models.serving.asked import Ask
from models.serving.requests import DEFAULT_TOKENS, MOST_MESSAGES, read, schema_of
from models.serving.template import Role, Said
from models.serving.tools import Call, Chosen, Tool, Toolbox, call_said, result_said

# Kept in memory alone: a restart forgets them.
MOST_KEPT, MOST_KEPT_LETTERS = 256, 4_000_000


class Part(Struct, frozen=True, kw_only=True):
    type: Literal["input_text", "output_text", "text"]
    text: str


class Item(Struct, frozen=True, kw_only=True):
    """A message, a call that the member made, or what it gave."""

    type: Literal["message", "function_call", "function_call_output"] = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: str | tuple[Part, ...] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | tuple[Part, ...] | None = None


class FunctionTool(Struct, frozen=True, kw_only=True):
    type: Literal["function"]
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolChoice(Struct, frozen=True, kw_only=True):
    type: Literal["function"]
    name: str


class TextWish(Struct, frozen=True, kw_only=True):
    format: dict[str, Any] | None = None


class Responding(Struct, frozen=True, kw_only=True):
    """deterministic: as `Ask`'s (ours, not OpenAI's)."""

    input: str | tuple[Item, ...]
    model: str = ""
    instructions: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stream: bool | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    text: TextWish | None = None
    tools: tuple[FunctionTool, ...] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    truncation: Literal["auto", "disabled"] | None = None
    metadata: dict[str, str] | None = None
    deterministic: bool = False
    # What would change the answer and is not done.
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None
    top_logprobs: int | None = None
    max_tool_calls: int | None = None

    @property
    def toolbox(self) -> Toolbox | None:
        """Raises RequestUnserved (KF501)."""
        if not self.tools:
            return None
        tools = tuple(Tool(one.name, one.description or "", one.parameters or {}) for one in self.tools)
        choice = self.tool_choice
        named = choice.name if isinstance(choice, ToolChoice) else ""
        chosen: Chosen = "required" if isinstance(choice, ToolChoice) else choice or "auto"
        return Toolbox(tools, chosen, named, parallel=self.parallel_tool_calls is not False)


@dataclass(frozen=True)
class Kept:
    """An answer that was stored. said: all of its conversation, itself included, without the instructions, which each
    request gives anew. calls: names of the calls in it, by their ids."""

    tenant: str
    said: tuple[Said, ...]
    calls: Mapping[str, str]
    told: Mapping[str, Any]

    @property
    def letters(self) -> int:
        return sum(len(one.text) for one in self.said)


class Memory:
    """The answers that were stored last, each seen by its own tenant alone. Safe from any thread."""

    def __init__(self, most: int = MOST_KEPT, most_letters: int = MOST_KEPT_LETTERS) -> None:
        self._most, self._most_letters = most, most_letters
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._letters = 0
        self._lock = threading.Lock()

    def put(self, name: str, kept: Kept) -> None:
        with self._lock:
            self._kept[name] = kept
            self._letters += kept.letters
            while len(self._kept) > self._most or (self._letters > self._most_letters and len(self._kept) > 1):
                _, oldest = self._kept.popitem(last=False)
                self._letters -= oldest.letters

    def get(self, name: str, tenant: str) -> Kept:
        """Raises ResponseGone (KF507)."""
        with self._lock:
            return self._found(name, tenant)

    def drop(self, name: str, tenant: str) -> None:
        """Raises ResponseGone (KF507)."""
        with self._lock:
            self._letters -= self._found(name, tenant).letters
            del self._kept[name]

    def _found(self, name: str, tenant: str) -> Kept:
        kept = self._kept.get(name)
        # Another tenant's is as good as none: not even that it is there is told.
        if kept is None or kept.tenant != tenant:
            raise ResponseGone(response=name[:80])
        return kept


@dataclass(frozen=True)
class Conversation:
    """said: what came before and what is new, without the instructions. calls: names by ids."""

    asked: Responding
    said: tuple[Said, ...]
    calls: Mapping[str, str]


def read_response(body: bytes, memory: Memory, tenant: str) -> tuple[Conversation, Ask]:
    """Raises RequestUnserved (KF501), SamplingInvalid (KF401), ResponseGone (KF507)."""
    asked = read(body, Responding)
    for name in ("background", "conversation", "prompt", "top_logprobs", "max_tool_calls"):
        if getattr(asked, name):
            raise RequestUnserved(detail=f"{name}: this is not done here")
    before = memory.get(asked.previous_response_id, tenant) if asked.previous_response_id else None
    calls = dict(before.calls) if before is not None else {}
    said = list(before.said) if before is not None else []
    items = [Item(role="user", content=asked.input)] if isinstance(asked.input, str) else asked.input
    for item in items:
        said.append(_said(item, calls))
    if not 0 < len(said) <= MOST_MESSAGES:
        raise RequestUnserved(detail=f"input: 1 to {MOST_MESSAGES} items are taken, not {len(said)}")
    instructions = [Said("system", asked.instructions)] if asked.instructions else []
    ask = Ask(
        model=asked.model,
        said=[*instructions, *said],
        sampling=Sampling(
            temperature=1.0 if asked.temperature is None else asked.temperature,
            top_p=1.0 if asked.top_p is None else asked.top_p,
            schema=schema_of(None if asked.text is None else asked.text.format),
            max_tokens=DEFAULT_TOKENS if asked.max_output_tokens is None else asked.max_output_tokens,
        ),
        too_long="newest" if asked.truncation == "auto" else "refuse",
        stream=bool(asked.stream),
        deterministic=asked.deterministic,
        tools=asked.toolbox,
    )
    return Conversation(asked, tuple(said), calls), ask


def _said(item: Item, calls: dict[str, str]) -> Said:
    if item.type == "function_call":
        if item.name is None or item.arguments is None:
            raise RequestUnserved(detail="input: a function_call has a name and arguments")
        calls[item.call_id or ""] = item.name
        return call_said([Call(item.name, item.arguments)])
    if item.type == "function_call_output":
        return result_said(calls.get(item.call_id or "", ""), _text(item.output))
    if item.role is None or item.content is None:
        raise RequestUnserved(detail="input: a message has a role and content")
    role: Role = "system" if item.role == "developer" else item.role
    return Said(role, _text(item.content))


def _text(content: str | tuple[Part, ...] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.text for part in content)
