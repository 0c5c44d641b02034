"""A camera's address, as it may be shown."""

from __future__ import annotations

from node.redaction import redact_text


def shown(source: object) -> str:
    """Without user name, password and query: many cameras take their password there."""
    text = str(source)
    if "://" not in text:
        return text
    before, mark, _ = text.partition("?")
    return redact_text(before) + ("?…" if mark else "")
