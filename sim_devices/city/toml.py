"""Plain values as TOML: enough for a site file, in an order that a person can follow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def to_toml(values: dict[str, Any]) -> str:
    """A dict of str, int, float, bool, lists and dicts; None is left out, as TOML has none."""
    return "\n".join(_table(values, ())).lstrip("\n") + "\n"


def _table(values: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    nested = {key: value for key, value in values.items() if isinstance(value, dict) or _tables(value)}
    for key, value in values.items():
        if key not in nested and value is not None:
            yield f"{key} = {_inline(value)}"
    for key, value in nested.items():
        name = ".".join((*path, key))
        if isinstance(value, dict):
            yield f"\n[{name}]"
            yield from _table(value, (*path, key))
        else:
            for one in value:
                yield f"\n[[{name}]]"
                yield from _table(one, (*path, key))


def _tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, dict) for one in value)


def _inline(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_inline(one) for one in value) + "]"
    # JSON's numbers, booleans and strings of printable characters are TOML's as well.
    return json.dumps(value, ensure_ascii=False)
