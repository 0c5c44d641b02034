"""YAML for cloud-init, written by hand: maps, lists, texts, numbers and truth values in block style."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

Value: TypeAlias = "str | int | bool | Sequence[Value] | Mapping[str, Value]"

# What a reader of YAML 1.1 takes for something else.
_OTHER_THAN_TEXT = {"null", "true", "false", "yes", "no", "on", "off"}


def emit(value: Mapping[str, Value]) -> str:
    """Texts are quoted as JSON quotes them, which YAML reads alike; scripts stand as they are, for a person to read."""
    return "\n".join(_map(value, "")) + "\n"


def _map(value: Mapping[str, Value], indent: str) -> Iterator[str]:
    for key, one in value.items():
        yield from _entry(f"{indent}{key if _is_plain(key) else _scalar(key)}:", one, indent)


def _list(value: Sequence[Value], indent: str) -> Iterator[str]:
    for one in value:
        if isinstance(one, Mapping) and one:
            first, *rest = _map(one, indent + "  ")
            yield f"{indent}- {first.lstrip()}"
            yield from rest
        else:
            yield from _entry(f"{indent}-", one, indent)


def _entry(head: str, value: Value, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        yield head
        yield from _map(value, indent + "  ")
    elif isinstance(value, str) and _is_block(value):
        yield f"{head} |"
        yield from (f"{indent}  {line}" if line else "" for line in value.removesuffix("\n").split("\n"))
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        yield head
        yield from _list(value, indent + "  ")
    else:
        yield f"{head} {_scalar(value)}"


def _is_plain(key: str) -> bool:
    return re.fullmatch(r"[a-z][a-z_-]+", key) is not None and key not in _OTHER_THAN_TEXT


def _is_block(text: str) -> bool:
    """A text of several lines that a literal block gives back exactly."""
    return (
        text.count("\n") > 1
        and text.endswith("\n")
        and not text.endswith("\n\n")
        and not text[0].isspace()
        and all(one == "\n" or " " <= one <= "~" for one in text)
    )


def _scalar(value: Value) -> str:
    # Not ASCII alone: JSON would write a pair of surrogates, which YAML reads as two characters.
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else _text(value)


def _text(text: str) -> str:
    plain = json.dumps(text, ensure_ascii=False)
    return "".join(one if " " <= one <= "~" or one.isalnum() else _escaped(one) for one in plain)


def _escaped(character: str) -> str:
    return f"\\U{ord(character):08x}"
