"""What all doors of `/v1` tell: errors, in the form of who asks and with the catalogue's code; usage; logprobs."""

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


_ANTHROPIC = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
}


def message_error(error: KinflowError, status: int | None = None) -> dict[str, Any]:
    """As Anthropic's clients read it."""
    told = status_of(error) if status is None else status
    kind = _ANTHROPIC.get(told, "invalid_request_error" if told < 500 else "api_error")
    told_to_all = error_object(error, told)["error"]
    return {"type": "error", "error": {**told_to_all, "type": kind, "code": error.code}}


def told_to(path: str, error: KinflowError, status: int | None = None) -> dict[str, Any] | None:
    """The form of errors that whoever asks at this path reads; None outside of `/v1`."""
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        return message_error(error, status)
    return error_object(error, status) if path.startswith("/v1/") else None


def usage(prompt: int, said: int, known: int, receipt: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """known: tokens of the prompt that had not to be computed. receipt: which tier answered and what it took
    (models/escalation); ours, not OpenAI's."""
    counted: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}
    counted["prompt_tokens_details"] = {"cached_tokens": known}
    return counted if receipt is None else {**counted, "kinflow": dict(receipt)}


def logprob_of(choice: Choice, pieces: Mapping[int, bytes]) -> dict[str, Any]:
    """pieces: what the tokens spell."""

    def told(token: int, logprob: float | None) -> dict[str, Any]:
        spelt = pieces[token]
        return {"token": spelt.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(spelt), "id": token}

    top = [told(token, logprob) for token, logprob in choice.top]
    return {**told(choice.token, choice.logprob), "top_logprobs": top}
