"""A join code, judged before it is written onto a card that nobody can ask."""

from __future__ import annotations

from firmware_configs.errors import JoinCodeMalformed
from node.errors import JoinCodeMistyped
from node.trust.join_code import decode, encode


def join_code(text: str) -> str:
    """The code as it is written, without what people put around it. Raises JoinCodeMalformed (KF230)."""
    try:
        return encode(decode(text))
    except JoinCodeMistyped as error:
        raise JoinCodeMalformed(detail=error.fields["detail"]) from error


def pin_of(code: str) -> str:
    """What it says of its edge server's authority: the beginning of its key's SHA-256, in hexadecimal digits."""
    return decode(code).pin.hex()
