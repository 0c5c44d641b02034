"""Take secrets out of whatever is about to be shown, logged or handed to somebody.

Where in doubt too much is struck out: a host name lost costs a minute, a password shown costs a camera.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

STRUCK_OUT = "***"

# `tokens` in the plural is a unit of language models, and no secret.
_WORDS = r"password|passwd|passphrase|token(?!s)|secret|authorization|credential|cookie|api[_-]?key"
_SECRET_KEY = re.compile(_WORDS, re.IGNORECASE)
# Every repetition is bounded, so that a long line costs time in proportion to its length.
# From `://` to the last @ of an unbroken run: a password may hold a raw @, / or # that somebody forgot to encode.
_CREDENTIALS = re.compile(r"(://)[^\s\"'<>]{0,1000}@")
# The same with a space or a quote inside the password: what follows the colon is no port, and an @ comes later.
_LOOSE_CREDENTIALS = re.compile(r"(://)[^\s/@:\"']{0,200}:(?!\d{1,5}(?!\S{0,1000}@))[^\n]{0,1000}@")
# `password=…`, `"token": "…"`, `Authorization: Bearer …`
_ASSIGNED = re.compile(
    rf"(?i)((?:{_WORDS})[\w-]{{0,40}}\\?[\"']?\s{{0,9}}[=:]\s{{0,9}})"
    r"(\\?\"(?:[^\"\\]|\\.){0,4000}\"|'(?:[^'\\]|\\.){0,4000}'|(?:(?:bearer|basic|digest)\s{1,9})?[^\s&,;\"'}\]]+)"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s{1,9}[A-Za-z0-9._~+/=-]{8,}")


def is_secret_key(key: str) -> bool:
    """Whether a value of this name is a secret by its name alone."""
    return _SECRET_KEY.search(key) is not None


def redact_text(text: str, known: Iterable[str] = ()) -> str:
    """`text` without the credentials of URLs, the values that are named as secrets, and the `known` ones."""
    for secret in sorted({one for one in known if one}, key=len, reverse=True):
        text = text.replace(secret, STRUCK_OUT)
    text = _CREDENTIALS.sub(rf"\1{STRUCK_OUT}@", text)
    text = _LOOSE_CREDENTIALS.sub(rf"\1{STRUCK_OUT}@", text)
    text = _ASSIGNED.sub(rf"\1{STRUCK_OUT}", text)
    return _BEARER.sub(rf"\1 {STRUCK_OUT}", text)


def redact(value: object, known: Iterable[str] = ()) -> object:
    """The same for a value made of mappings, sequences and texts; numbers, booleans and None stay as they are."""
    secrets = tuple(known)
    if isinstance(value, Mapping):
        return {
            redact_text(str(key), secrets): STRUCK_OUT if is_secret_key(str(key)) and inner else redact(inner, secrets)
            for key, inner in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redact(one, secrets) for one in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, bytes):
        return redact_text(value.decode("utf-8", "replace"), secrets)
    return redact_text(str(value), secrets)
