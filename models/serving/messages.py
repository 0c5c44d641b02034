"""What `/v1/messages` is asked: Anthropic's fields, as far as they are served. Other wishes are refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from models.assistant.summary import TooLong
from models.engine.sampling import Sampling
from models.errors import RequestUnserved
from models.serving.asked import Ask
from models.serving.requests import MOST_MESSAGES, TextPart, read, schema_of
from models.serving.template import Role, Said
from models.serving.tools import Call, Tool, Toolbox, call_said, json_of, result_said


class TextBlock(Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    text: str


class UseBlock(Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_use"):
    id: str
    name: str
    input: dict[str, Any]


class ResultBlock(Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_result"):
    tool_use_id: str
    content: str | tuple[TextPart, ...] | None = None
    is_error: bool | None = None

    @property
    def text(self) -> str:
        told = self.content or ""
        text = told if isinstance(told, str) else "".join(part.text for part in told)
        return f"an error: {text}" if self.is_error else text


class Message(Struct, frozen=True, kw_only=True):
    role: Literal["user", "assistant"]
    content: str | tuple[TextBlock | UseBlock | ResultBlock, ...]


class ToolWish(Struct, frozen=True, kw_only=True):
    """A tool of the asker's own; type says "custom", or nothing."""

    name: str
    input_schema: dict[str, Any]
    description: str | None = None
    type: Literal["custom"] | None = None


class ToolChoice(Struct, frozen=True, kw_only=True):
    type: Literal["auto", "any", "tool", "none"]
    name: str = ""
    disable_parallel_tool_use: bool | None = None


class Thinking(Struct, frozen=True, kw_only=True):
    type: str


class OutputWish(Struct, frozen=True, kw_only=True):
    format: dict[str, Any] | None = None


class _Conversation(Struct, frozen=True, kw_only=True):
    """Both of what is to be answered and of what is to be counted."""

    messages: tuple[Message, ...]
    model: str = ""
    system: str | tuple[TextPart, ...] | None = None
    tools: tuple[ToolWish, ...] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputWish | None = None
    too_long: TooLong = "refuse"

    @property
    def said(self) -> list[Said]:
        """Raises RequestUnserved (KF501)."""
        if not 0 < len(self.messages) <= MOST_MESSAGES:
            raise RequestUnserved(detail=f"messages: 1 to {MOST_MESSAGES} are taken, not {len(self.messages)}")
        system = self.system or ""
        text = system if isinstance(system, str) else "".join(part.text for part in system)
        found = [Said("system", text)] if text else []
        names: dict[str, str] = {}
        for one in self.messages:
            found += _said(one, names)
        return found

    @property
    def toolbox(self) -> Toolbox | None:
        """Raises RequestUnserved (KF501)."""
        if not self.tools:
            return None
        tools = tuple(Tool(one.name, one.description or "", one.input_schema) for one in self.tools)
        choice = self.tool_choice or ToolChoice(type="auto")
        named = choice.name if choice.type == "tool" else ""
        chosen = {"auto": "auto", "any": "required", "tool": "required", "none": "none"}[choice.type]
        return Toolbox(tools, chosen, named, parallel=not choice.disable_parallel_tool_use)  # type: ignore[arg-type]


class Counted(_Conversation, frozen=True, kw_only=True):
    pass


class Asked(_Conversation, frozen=True, kw_only=True):
    """deterministic: as `Ask`'s (ours, not Anthropic's)."""

    max_tokens: int
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: tuple[str, ...] | None = None
    stream: bool = False
    deterministic: bool = False


def read_message(body: bytes) -> tuple[Asked, Ask]:
    """Raises RequestUnserved (KF501), SamplingInvalid (KF401)."""
    asked = read(body, Asked)
    return asked, _ask(
        asked,
        Sampling(
            temperature=1.0 if asked.temperature is None else asked.temperature,
            top_p=1.0 if asked.top_p is None else asked.top_p,
            top_k=asked.top_k or 0,
            stop=asked.stop_sequences or (),
            max_tokens=asked.max_tokens,
            schema=schema_of(None if asked.output_config is None else asked.output_config.format),
        ),
        stream=asked.stream,
        deterministic=asked.deterministic,
    )


def read_counted(body: bytes) -> Ask:
    """Raises RequestUnserved (KF501)."""
    return _ask(read(body, Counted), Sampling())


def _ask(asked: _Conversation, sampling: Sampling, *, stream: bool = False, deterministic: bool = False) -> Ask:
    if asked.thinking is not None and asked.thinking.type != "disabled":
        raise RequestUnserved(detail="thinking: this is not done here")
    return Ask(
        model=asked.model,
        said=asked.said,
        sampling=sampling,
        too_long=asked.too_long,
        stream=stream,
        deterministic=deterministic,
        tools=asked.toolbox,
    )


def _said(one: Message, names: dict[str, str]) -> list[Said]:
    if isinstance(one.content, str):
        return [Said(one.role, one.content)]
    found: list[Said] = []
    text, calls = "", []
    for block in one.content:
        if isinstance(block, TextBlock):
            text += block.text
        elif isinstance(block, UseBlock) and one.role == "assistant":
            names[block.id] = block.name
            calls.append(Call(block.name, json_of(block.input)))
        elif isinstance(block, ResultBlock) and one.role == "user":
            found.append(result_said(names.get(block.tool_use_id, ""), block.text))
        else:
            raise RequestUnserved(detail="messages: tool_use is the assistant's, tool_result the user's")
    role: Role = one.role
    if text or not (calls or found):
        found.append(Said(role, text))
    return [*found, call_said(calls)] if calls else found
