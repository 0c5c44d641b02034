"""Whether a text can be a join code, before it is written onto a card that nobody can ask."""

from __future__ import annotations

import re

from firmware_configs.errors import JoinCodeMalformed

_ALPHABET = re.compile(r"[A-Za-z0-9.:_~-]{6,512}")


def join_code(text: str) -> str:
    """The code without the blanks around it. Raises JoinCodeMalformed (KF230)."""
    code = text.strip()
    if not code:
        raise JoinCodeMalformed(detail="it is empty")
    if not _ALPHABET.fullmatch(code):
        raise JoinCodeMalformed(detail="it has letters, digits and hyphens only, and no blanks inside")
    return code
