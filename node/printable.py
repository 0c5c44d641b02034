"""Text of others, for a terminal: what would move its cursor, begin a new line or turn its writing is spelled out."""

from __future__ import annotations

import re

_STEERS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def printable(text: object) -> str:
    """On one line, and with no control of the terminal: `\\x1b` for the escape character, `\\n` for a new line."""
    return _STEERS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), str(text))
