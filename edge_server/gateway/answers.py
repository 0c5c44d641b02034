"""How an error is answered: its status and its one form."""

from __future__ import annotations

from node.errors import (
    CsrRefused,
    DeviceIdTaken,
    JoinCodeMistyped,
    JoinCodeRefused,
    JoinCodeUsed,
    SignatureRefused,
)
from protocol.errors import InvalidId, KinflowError

# Errors from below the edge server that say what is wrong with a request.
_BELOW: dict[type[KinflowError], int] = {
    InvalidId: 422,
    JoinCodeMistyped: 422,
    CsrRefused: 422,
    JoinCodeRefused: 403,
    JoinCodeUsed: 409,
    DeviceIdTaken: 409,
    SignatureRefused: 401,
}


def status_of(error: KinflowError) -> int:
    """What the error itself says (`status`), else 503: the server can't do it now."""
    return int(getattr(error, "status", _BELOW.get(type(error), 503)))


def error_body(error: KinflowError) -> dict[str, object]:
    """The body of every error: `{"error": {"code": "KF88", "cause": …, "advice": …}}`."""
    return {"error": {"code": error.code, "cause": error.cause_text, "advice": error.advice_text}}


def error_headers(error: KinflowError) -> dict[str, str]:
    """What goes with it: how to come in, or when to come again."""
    if status_of(error) == 401:
        return {"WWW-Authenticate": "Bearer"}
    wait_s = error.fields.get("wait_s")
    return {"Retry-After": str(wait_s)} if wait_s is not None else {}
