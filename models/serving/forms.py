"""How OpenAI's chat and completions tell an answer: whole, or in pieces."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from models.serving.answers import error_object, usage
from models.serving.asked import Answer, Bit, End
from models.serving.tools import Call
from protocol.errors import KinflowError

Event = dict[str, Any]


class Form(Protocol):
    """One answer in one protocol's words. Events are told in order: `begin`, then of each bit, then `end`; `whole`
    tells of an answer that has ended."""

    def begin(self) -> list[Event]: ...

    def take(self, bit: Bit) -> list[Event]: ...

    def end(self, end: End) -> list[Event]: ...

    def failed(self, error: KinflowError) -> list[Event]:
        """In the middle of a stream, whose status has been sent."""
        ...

    def whole(self, answer: Answer) -> Event: ...

    def framed(self, event: Event) -> bytes:
        """As a server-sent event."""
        ...

    @property
    def closing(self) -> bytes: ...


def named_event(event: Event) -> bytes:
    """With its type as the event's name."""
    return f"event: {event['type']}\n".encode() + data_event(event)


def data_event(event: Event) -> bytes:
    return b"data: " + json.dumps(event, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"


class CompletionForm:
    """`/v1/completions`. with_usage: told at a stream's end."""

    closing = b"data: [DONE]\n\n"
    whole_object, piece_object, prefix = "text_completion", "text_completion", "cmpl"

    def __init__(self, *, answer_id: str, created_s: int, model: str, with_usage: bool = False) -> None:
        self._head = {"id": f"{self.prefix}-{answer_id}", "created": created_s, "model": model}
        self._with_usage, self._id = with_usage, answer_id

    def begin(self) -> list[Event]:
        return []

    def take(self, bit: Bit) -> list[Event]:
        told = self._bit(bit)
        return [] if told is None else [self._piece(told, None, bit.logprobs)]

    def end(self, end: End) -> list[Event]:
        events = [self._piece(self._bit(Bit()) or self._nothing(), end.reason, None)]
        if self._with_usage:
            used = _used(end)
            events.append({**self._head, "object": self.piece_object, "choices": [], "usage": used})
        return events

    def failed(self, error: KinflowError) -> list[Event]:
        return [error_object(error)]

    def whole(self, answer: Answer) -> Event:
        assert answer.end is not None
        choice = {"index": 0, **self._said(answer), "finish_reason": self._reason(answer.end.reason)}
        return {
            **self._head,
            "object": self.whole_object,
            "choices": [{**choice, "logprobs": self._logprobs(answer.logprobs)}],
            "usage": _used(answer.end),
        }

    def framed(self, event: Event) -> bytes:
        return data_event(event)

    def _said(self, answer: Answer) -> Event:
        return {"text": answer.text}

    def _bit(self, bit: Bit) -> Event | None:
        return {"text": bit.text} if bit.text or bit.logprobs else None

    def _nothing(self) -> Event:
        return {"text": ""}

    def _piece(self, content: Event, ended: str | None, logprobs: list[Event] | None) -> Event:
        reason = None if ended is None else self._reason(ended)
        choice = {"index": 0, **content, "finish_reason": reason, "logprobs": self._logprobs(logprobs)}
        return {**self._head, "object": self.piece_object, "choices": [choice]}

    def _reason(self, ended: str) -> str | None:
        return ended or None

    def _logprobs(self, logprobs: Sequence[Event] | None) -> Event | None:
        if logprobs is None:
            return None
        return {
            "tokens": [one["token"] for one in logprobs],
            "token_logprobs": [one["logprob"] for one in logprobs],
            "top_logprobs": [{two["token"]: two["logprob"] for two in one["top_logprobs"]} for one in logprobs],
        }


def _used(end: End) -> Event:
    return usage(end.prompt_tokens, end.tokens, end.known, end.told)


class ChatForm(CompletionForm):
    """`/v1/chat/completions`."""

    whole_object, piece_object, prefix = "chat.completion", "chat.completion.chunk", "chatcmpl"

    def begin(self) -> list[Event]:
        return [self._piece({"delta": {"role": "assistant", "content": ""}}, None, None)]

    def _said(self, answer: Answer) -> Event:
        message: Event = {"role": "assistant", "content": answer.text if answer.text or not answer.calls else None}
        if answer.calls:
            message["tool_calls"] = [self._call(place, call) for place, call in enumerate(answer.calls)]
        return {"message": message}

    def _bit(self, bit: Bit) -> Event | None:
        delta: Event = {"content": bit.text} if bit.text else {}
        if bit.calls:
            delta["tool_calls"] = [{"index": place, **self._call(place, call)} for place, call in enumerate(bit.calls)]
        return {"delta": delta} if delta or bit.logprobs else None

    def _nothing(self) -> Event:
        return {"delta": {}}

    def _call(self, place: int, call: Call) -> Event:
        called = {"name": call.name, "arguments": call.arguments}
        return {"id": f"call_{self._id[:24]}{place}", "type": "function", "function": called}

    def _reason(self, ended: str) -> str | None:
        return "tool_calls" if ended == "calls" else ended or None

    def _logprobs(self, logprobs: Sequence[Event] | None) -> Event | None:
        return None if logprobs is None else {"content": list(logprobs)}
