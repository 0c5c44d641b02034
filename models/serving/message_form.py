"""How `/v1/messages` tells an answer: content blocks, and the events by which they come."""

from __future__ import annotations

import json
from typing import Any

from models.serving.answers import message_error
from models.serving.asked import Answer, Bit, End
from models.serving.forms import Event, named_event
from models.serving.tools import Call
from protocol.errors import KinflowError

_REASONS = {"stop": "end_turn", "length": "max_tokens", "calls": "tool_use"}


class MessageForm:
    """prompt_tokens: told with a stream's first event."""

    closing = b""

    def __init__(self, *, answer_id: str, model: str, prompt_tokens: int) -> None:
        self._id = answer_id
        self._prompt_tokens = prompt_tokens
        self._head: Event = {"id": f"msg_{answer_id}", "type": "message", "role": "assistant", "model": model}
        self._blocks, self._open = 0, False

    def begin(self) -> list[Event]:
        empty: Event = {
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": _usage(self._prompt_tokens, 0),
        }
        return [{"type": "message_start", "message": {**self._head, **empty}}]

    def take(self, bit: Bit) -> list[Event]:
        events = []
        if bit.text:
            if not self._open:
                events.append(self._started({"type": "text", "text": ""}))
            events.append(self._delta({"type": "text_delta", "text": bit.text}))
        for place, call in enumerate(bit.calls):
            events += self._stopped()
            events.append(self._started({**self._use(place, call), "input": {}}))
            events.append(self._delta({"type": "input_json_delta", "partial_json": call.arguments}))
        return events

    def end(self, end: End) -> list[Event]:
        delta = {"stop_reason": _reason(end), "stop_sequence": end.stop or None}
        told = {"type": "message_delta", "delta": delta, "usage": self._used(end)}
        return [*self._stopped(), told, {"type": "message_stop"}]

    def failed(self, error: KinflowError) -> list[Event]:
        return [message_error(error)]

    def whole(self, answer: Answer) -> Event:
        assert answer.end is not None
        text = [{"type": "text", "text": answer.text}] if answer.text else []
        calls = [self._use(place, call) for place, call in enumerate(answer.calls)]
        return {
            **self._head,
            "content": [*text, *calls],
            "stop_reason": _reason(answer.end),
            "stop_sequence": answer.end.stop or None,
            "usage": self._used(answer.end),
        }

    def framed(self, event: Event) -> bytes:
        return named_event(event)

    def _used(self, end: End) -> Event:
        used = _usage(end.prompt_tokens, end.tokens, end.known)
        return used if end.told is None else {**used, "kinflow": end.told}

    def _use(self, place: int, call: Call) -> Event:
        given: Any = json.loads(call.arguments)
        return {"type": "tool_use", "id": f"toolu_{self._id[:24]}{place}", "name": call.name, "input": given}

    def _started(self, block: Event) -> Event:
        self._open = True
        self._blocks += 1
        return {"type": "content_block_start", "index": self._blocks - 1, "content_block": block}

    def _delta(self, delta: Event) -> Event:
        return {"type": "content_block_delta", "index": self._blocks - 1, "delta": delta}

    def _stopped(self) -> list[Event]:
        if not self._open:
            return []
        self._open = False
        return [{"type": "content_block_stop", "index": self._blocks - 1}]


def _reason(end: End) -> str | None:
    return "stop_sequence" if end.stop else _REASONS.get(end.reason)


def _usage(prompt_tokens: int, tokens: int, known: int = 0) -> Event:
    """What was known counts by itself, and not as input."""
    cached = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": known}
    return {"input_tokens": prompt_tokens - known, **cached, "output_tokens": tokens}
