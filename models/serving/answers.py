"""What `/v1` answers: OpenAI's objects, and its one form of an error with the catalogue's code in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.engine.sampling import Choice
from models.errors import (
    ContextTooLong,
    EngineFull,
    HiddenForeign,
    SamplingInvalid,
    SchemaRefused,
)
from protocol.errors import KinflowError, MessageMalformed, MessageTooLarge, MessageVersionUnknown

# Errors from below that say what is wrong with a request.
_STATUS: dict[type[KinflowError], int] = {
    ContextTooLong: 400,
    SamplingInvalid: 400,
    SchemaRefused: 400,
    HiddenForeign: 409,
    EngineFull: 503,
    MessageMalformed: 400,
    MessageTooLarge: 413,
    MessageVersionUnknown: 409,
}
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


def status_of(error: KinflowError) -> int:
    return int(getattr(error, "status", _STATUS.get(type(error), 503)))


def error_object(error: KinflowError, status: int | None = None) -> dict[str, Any]:
    """`message`, `type`, `param` and `code` as OpenAI's clients read them; cause and advice as everywhere at ours."""
    told = status_of(error) if status is None else status
    kind = _TYPES.get(told, "invalid_request_error" if told < 500 else "server_error")
    return {
        "error": {
            "message": f"{error.cause_text} {error.advice_text}",
            "type": kind,
            "param": None,
            "code": "context_length_exceeded" if isinstance(error, ContextTooLong) else error.code,
            "kinflow_code": error.code,
            "cause": error.cause_text,
            "advice": error.advice_text,
        }
    }


def usage(prompt: int, said: int, receipt: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """receipt: which tier answered and what it took (models/escalation); ours, not OpenAI's."""
    counted = {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}
    return counted if receipt is None else {**counted, "kinflow": dict(receipt)}


class Form:
    """chat: `/v1/chat/completions`, else `/v1/completions`. Makes whole answers and pieces of one."""

    def __init__(self, *, chat: bool, answer_id: str, created_s: int, model: str) -> None:
        self._chat = chat
        self._head = {"id": f"{'chatcmpl' if chat else 'cmpl'}-{answer_id}", "created": created_s, "model": model}

    def whole(self, text: str, ended: str, logprobs: list[dict[str, Any]] | None, used: object) -> dict[str, Any]:
        content = {"message": {"role": "assistant", "content": text}} if self._chat else {"text": text}
        choice = {"index": 0, **content, "finish_reason": ended or None, "logprobs": self._told(logprobs)}
        name = "chat.completion" if self._chat else "text_completion"
        return {**self._head, "object": name, "choices": [choice], "usage": used}

    def begin(self) -> dict[str, Any] | None:
        return self._piece({"delta": {"role": "assistant", "content": ""}}, "", None) if self._chat else None

    def piece(self, text: str, ended: str, logprobs: list[dict[str, Any]] | None) -> dict[str, Any]:
        content = {"delta": {"content": text} if text else {}} if self._chat else {"text": text}
        return self._piece(content, ended, logprobs)

    def usage(self, used: object) -> dict[str, Any]:
        return {**self._head, "object": self._object, "choices": [], "usage": used}

    @property
    def _object(self) -> str:
        return "chat.completion.chunk" if self._chat else "text_completion"

    def _piece(self, content: dict[str, Any], ended: str, logprobs: list[dict[str, Any]] | None) -> dict[str, Any]:
        choice = {"index": 0, **content, "finish_reason": ended or None, "logprobs": self._told(logprobs)}
        return {**self._head, "object": self._object, "choices": [choice]}

    def _told(self, logprobs: list[dict[str, Any]] | None) -> dict[str, Any] | None:
        if logprobs is None:
            return None
        if self._chat:
            return {"content": logprobs}
        return {
            "tokens": [one["token"] for one in logprobs],
            "token_logprobs": [one["logprob"] for one in logprobs],
            "top_logprobs": [{two["token"]: two["logprob"] for two in one["top_logprobs"]} for one in logprobs],
        }


def logprob_of(choice: Choice, pieces: Mapping[int, bytes]) -> dict[str, Any]:
    """pieces: what the tokens spell."""

    def told(token: int, logprob: float | None) -> dict[str, Any]:
        spelt = pieces[token]
        return {"token": spelt.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(spelt), "id": token}

    top = [told(token, logprob) for token, logprob in choice.top]
    return {**told(choice.token, choice.logprob), "top_logprobs": top}
