"""A line of Requires-Dist: whom it names, and whether it holds for a machine (the dependency specifiers of packaging's
documentation, without versions: those are pinned). Pure."""

from __future__ import annotations

import operator
import platform
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_HEAD = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_TOKEN = re.compile(r"\s*(\(|\)|'[^']*'|\"[^\"]*\"|[<>=!~]=?=?|[A-Za-z_][A-Za-z0-9_.]*)")
_ORDERED: dict[str, Callable[[object, object], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "===": operator.eq,
}


@dataclass(frozen=True)
class Requirement:
    """name: normalised. marker: "" where it always holds."""

    name: str
    extras: frozenset[str]
    marker: str

    def holds(self, environment: Mapping[str, str], extras: frozenset[str]) -> bool:
        """Whether it holds there, for somebody who asked for these extras. Raises ValueError."""
        if not self.marker:
            return True
        return any(_holds(self.marker, {**environment, "extra": one}) for one in (extras or {""}))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def parse(line: str) -> Requirement:
    """Raises ValueError."""
    head, _, marker = line.partition(";")
    found = _HEAD.match(head)
    if found is None:
        raise ValueError(f"{line!r} names no package")
    extras = frozenset(normal(one.strip()) for one in (found[2] or "").split(",") if one.strip())
    return Requirement(normal(found[1]), extras, marker.strip())


def here() -> dict[str, str]:
    return on(".".join(platform.python_version_tuple()[:2]), platform.machine(), sys.platform)


def on(python: str, machine: str, system: str = "linux") -> dict[str, str]:
    """A machine with that minor version of CPython."""
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "platform_python_implementation": "CPython",
        "os_name": "posix" if system != "win32" else "nt",
        "sys_platform": system,
        "platform_system": {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}.get(system, system),
        "platform_machine": machine,
        "platform_release": "",
        "platform_version": "",
    }


def _holds(marker: str, environment: Mapping[str, str]) -> bool:
    tokens, at = [], 0
    while marker[at:].strip():
        found = _TOKEN.match(marker, at)
        if found is None:
            raise ValueError(f"the marker {marker!r} can't be read")
        tokens.append(found[1])
        at = found.end()
    value = _either(tokens, environment)
    if tokens:
        raise ValueError(f"the marker {marker!r} goes on after its end")
    return value


def _either(tokens: list[str], environment: Mapping[str, str]) -> bool:
    value = _all(tokens, environment)
    while tokens and tokens[0] == "or":
        tokens.pop(0)
        value = _all(tokens, environment) or value
    return value


def _all(tokens: list[str], environment: Mapping[str, str]) -> bool:
    value = _one(tokens, environment)
    while tokens and tokens[0] == "and":
        tokens.pop(0)
        value = _one(tokens, environment) and value
    return value


def _one(tokens: list[str], environment: Mapping[str, str]) -> bool:
    try:
        if tokens[0] == "(":
            tokens.pop(0)
            value = _either(tokens, environment)
            if tokens.pop(0) != ")":
                raise ValueError("a marker lacks a )")
            return value
        left = tokens.pop(0)
        compare = tokens.pop(0)
        if compare == "not":
            compare = f"not {tokens.pop(0)}"
        right = tokens.pop(0)
    except IndexError:
        raise ValueError("a marker ends too early") from None
    return _compared(_value(left, environment), compare, _value(right, environment), "extra" in (left, right))


def _value(token: str, environment: Mapping[str, str]) -> str:
    if token[0] in "'\"":
        return token[1:-1]
    if token not in environment:
        raise ValueError(f"a marker asks for {token}, which nobody knows")
    return environment[token]


def _compared(left: str, compare: str, right: str, extra: bool) -> bool:
    if compare in {"in", "not in"}:
        return (left in right) == (compare == "in")
    if extra:
        left, right = normal(left), normal(right)
    if compare == "~=":
        low, found = _version(right), _version(left)
        return low is not None and found is not None and found >= low and found[: len(low) - 1] == low[:-1]
    if compare not in _ORDERED:
        raise ValueError(f"a marker compares by {compare}")
    versions = _version(left), _version(right)
    if None not in versions:
        long = max(len(one) for one in versions if one is not None)
        padded = [(*one, *(0,) * (long - len(one))) for one in versions if one is not None]
        return _ORDERED[compare](padded[0], padded[1])
    return _ORDERED[compare](left, right)


def _version(text: str) -> tuple[int, ...] | None:
    parts = text.removesuffix(".*").split(".")
    return tuple(int(one) for one in parts) if all(one.isdigit() for one in parts) else None
