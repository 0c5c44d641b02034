"""Whether somebody may join: the rules, in one place. Pure."""

from __future__ import annotations

from typing import Literal

from node.errors import CsrRefused, DeviceIdTaken, JoinCodeRefused, JoinCodeUsed
from node.trust.csr import Request
from node.trust.records import CodeRow, DeviceRow, RequestRow

Verdict = Literal["repeat", "issue", "ask"]
# How long after the answer the very same request is answered again: the first answer may have been lost.
REPEAT_MS = 600_000


def judge(  # noqa: PLR0917 (all that is known)
    asked: Request,
    attempt: str,
    code: CodeRow | None,
    used_by: str,
    known: RequestRow | None,
    device: DeviceRow | None,
    now_ms: int,
) -> Verdict:
    """repeat: answer as before. issue: a certificate at once. ask: a person must agree first.

    code: the one whose secret was shown. used_by: the device that it let in. known: an earlier request with the same
    CSR, or of the same attempt. device: whoever goes by the id now. Raises JoinCodeRefused, JoinCodeUsed, CsrRefused or
    DeviceIdTaken.
    """
    if code is None:
        raise JoinCodeRefused(detail="this edge server does not know it")
    if known is not None and _is_repeated(asked, attempt, code, known, now_ms):
        return "repeat"
    if code.used_by:
        raise JoinCodeUsed(device=used_by)
    if known is not None:
        raise CsrRefused(detail="it came before")
    _check_code(asked, code, now_ms)
    if device is not None and device.key_digest == asked.key_digest.hex():
        raise CsrRefused(detail="its key was used before")
    if device is not None and device.state == "joined" and not code.replaces:
        raise DeviceIdTaken(device=asked.device)
    return "issue" if code.approved else "ask"


def _is_repeated(asked: Request, attempt: str, code: CodeRow, known: RequestRow, now_ms: int) -> bool:
    same = (known.id, known.code, known.csr_digest) == (attempt, code.id, asked.digest.hex())
    return same and (known.state == "pending" or now_ms - known.decided_ms <= REPEAT_MS)


def _check_code(asked: Request, code: CodeRow, now_ms: int) -> None:
    if code.cancelled:
        raise JoinCodeRefused(detail="it was cancelled")
    if now_ms >= code.expires_ms:
        raise JoinCodeRefused(detail="it has run out")
    if code.device and code.device != asked.device:
        raise JoinCodeRefused(detail="it was made for another device")
    if (asked.role == "edge") != (code.role == "edge"):
        raise JoinCodeRefused(detail=f"it lets in no {asked.role}")
