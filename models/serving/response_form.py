"""How `/v1/responses` tells an answer: an object of items, and the events by which it comes to be."""

from __future__ import annotations

from typing import Any

from models.serving.answers import error_object
from models.serving.asked import Answer, Bit, End
from models.serving.forms import Event, named_event
from models.serving.responses import Responding
from models.serving.tools import Call
from protocol.errors import KinflowError


class ResponseForm:
    closing = b""

    def __init__(self, *, answer_id: str, created_s: int, model: str, asked: Responding) -> None:
        self.id, self._bare_id = f"resp_{answer_id}", answer_id
        self._asked = asked
        self._head: Event = {
            "id": self.id,
            "object": "response",
            "created_at": created_s,
            "model": model,
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "metadata": asked.metadata or {},
            "parallel_tool_calls": asked.parallel_tool_calls is not False,
            "previous_response_id": asked.previous_response_id,
            "store": asked.store is not False,
            "temperature": 1.0 if asked.temperature is None else asked.temperature,
            "text": {"format": (asked.text and asked.text.format) or {"type": "text"}},
            "tool_choice": _choice(asked),
            "tools": [_tool(one) for one in asked.tools or ()],
            "top_p": 1.0 if asked.top_p is None else asked.top_p,
            "truncation": asked.truncation or "disabled",
        }
        self._number = 0
        self._answer = Answer()

    def begin(self) -> list[Event]:
        state = self._state("in_progress", [])
        return [self._event("response.created", response=state), self._event("response.in_progress", response=state)]

    def take(self, bit: Bit) -> list[Event]:
        events = []
        if bit.text:
            if not self._answer.text:
                events += self._opened()
            events.append(self._event("response.output_text.delta", **self._place, delta=bit.text, logprobs=[]))
        first = len(self._answer.calls)
        self._answer.take(bit)
        for place, call in enumerate(bit.calls, first):
            events += self._called(place, call)
        return events

    def end(self, end: End) -> list[Event]:
        answer, events = self._answer, []
        answer.end = end
        if not answer.text and not answer.calls:
            events += self._opened()
        if not answer.calls or answer.text:
            part = _part(answer.text)
            events.append(self._event("response.output_text.done", **self._place, text=answer.text, logprobs=[]))
            events.append(self._event("response.content_part.done", **self._place, part=part))
            item = self._message(answer)
            events.append(self._event("response.output_item.done", output_index=0, item=item))
        whole = self.whole(answer)
        events.append(self._event(f"response.{whole['status']}", response=whole))
        return events

    def failed(self, error: KinflowError) -> list[Event]:
        told = error_object(error)["error"]
        state = {**self._state("failed", self._items(self._answer)), "error": {"code": "server_error", **_short(told)}}
        return [self._event("response.failed", response=state)]

    def whole(self, answer: Answer) -> Event:
        assert answer.end is not None
        cut = answer.end.reason == "length"
        state = self._state("incomplete" if cut else "completed", self._items(answer))
        used: Event = {
            "input_tokens": answer.end.prompt_tokens,
            "input_tokens_details": {"cached_tokens": answer.end.known},
            "output_tokens": answer.end.tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": answer.end.prompt_tokens + answer.end.tokens,
        }
        if answer.end.told is not None:
            used["kinflow"] = answer.end.told
        return {**state, "incomplete_details": {"reason": "max_output_tokens"} if cut else None, "usage": used}

    def framed(self, event: Event) -> bytes:
        return named_event(event)

    def call_id(self, place: int) -> str:
        return f"call_{self._bare_id[:24]}{place}"

    @property
    def _place(self) -> Event:
        return {"item_id": f"msg_{self._bare_id}", "output_index": 0, "content_index": 0}

    def _opened(self) -> list[Event]:
        item = {**self._message(Answer()), "status": "in_progress", "content": []}
        return [
            self._event("response.output_item.added", output_index=0, item=item),
            self._event("response.content_part.added", **self._place, part=_part("")),
        ]

    def _called(self, place: int, call: Call) -> list[Event]:
        """Calls come whole, at an answer's end: nothing is told of one that may yet be cut short."""
        index = place + bool(self._answer.text)
        item = self._call(place, call)
        where = {"item_id": item["id"], "output_index": index}
        begun = {**item, "arguments": "", "status": "in_progress"}
        return [
            self._event("response.output_item.added", output_index=index, item=begun),
            self._event("response.function_call_arguments.delta", **where, delta=call.arguments),
            self._event("response.function_call_arguments.done", **where, name=call.name, arguments=call.arguments),
            self._event("response.output_item.done", output_index=index, item=item),
        ]

    def _items(self, answer: Answer) -> list[Event]:
        message = [self._message(answer)] if answer.text or not answer.calls else []
        return message + [self._call(place, call) for place, call in enumerate(answer.calls)]

    def _message(self, answer: Answer) -> Event:
        cut = answer.end is not None and answer.end.reason == "length"
        return {
            "type": "message",
            "id": f"msg_{self._bare_id}",
            "role": "assistant",
            "status": "incomplete" if cut else "completed",
            "content": [_part(answer.text)],
        }

    def _call(self, place: int, call: Call) -> Event:
        return {
            "type": "function_call",
            "id": f"fc_{self._bare_id[:24]}{place}",
            "call_id": self.call_id(place),
            "name": call.name,
            "arguments": call.arguments,
            "status": "completed",
        }

    def _state(self, status: str, items: list[Event]) -> Event:
        told = {"status": status, "output": items, "error": None, "incomplete_details": None, "usage": None}
        return {**self._head, **told}

    def _event(self, kind: str, **fields: Any) -> Event:
        self._number += 1
        return {"type": kind, "sequence_number": self._number - 1, **fields}


def _part(text: str) -> Event:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _short(told: Event) -> Event:
    return {"message": told["message"], "kinflow_code": told["kinflow_code"]}


def _choice(asked: Responding) -> object:
    choice = asked.tool_choice
    if choice is None or isinstance(choice, str):
        return choice or "auto"
    return {"type": "function", "name": choice.name}


def _tool(one: Any) -> Event:
    return {
        "type": "function",
        "name": one.name,
        "description": one.description,
        "parameters": one.parameters or {},
        "strict": True,
    }
