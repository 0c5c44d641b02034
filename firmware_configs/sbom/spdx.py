"""SPDX licence expressions: which licences one names, and whether it leaves a choice that we may make. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

PERMISSIVE = frozenset(
    {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD-3-Clause-Open-MPI", "CC0-1.0", "ISC", "MIT", "MIT-0"}
    | {"MIT-CMU", "PSF-2.0", "Python-2.0", "Unlicense", "Zlib"}
    # Of what lies inside wheels, as their makers list it.
    | {"Apache-2.0 WITH LLVM-exception", "BSL-1.0", "IJG", "Unicode-3.0", "Unicode-DFS-2016", "WTFPL"}
)
# Copyleft that ends at its own files or library: fit for use beside ours, each case for a reason that is written down.
WEAK = frozenset(
    {"EPL-2.0", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later", "MPL-2.0"}
    # What GCC adds to all that it compiles; the exception is what makes it fit.
    | {"GPL-3.0-or-later WITH GCC-exception-3.1"}
)
KNOWN = PERMISSIVE | WEAK

_TOKEN = re.compile(r"\s*(\(|\)|[A-Za-z0-9.+:-]+)")


@dataclass(frozen=True)
class Parts:
    """`operator` over `parts`, which are licences or Parts."""

    operator: str
    parts: tuple[str | Parts, ...]


def parse(expression: str) -> str | Parts:
    """Raises ValueError."""
    tokens = _tokens(expression)
    tree = _either(tokens)
    if tokens:
        raise ValueError(f"{expression!r} goes on after its end")
    return tree


def licences(tree: str | Parts) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    else:
        for part in tree.parts:
            yield from licences(part)


def refused(tree: str | Parts, accepted: Callable[[str], bool]) -> frozenset[str]:
    """The licences that stand in the way; of an OR, those of the choice that has the fewest."""
    if isinstance(tree, str):
        return frozenset() if accepted(tree) else frozenset({tree})
    each = [refused(part, accepted) for part in tree.parts]
    return min(each, key=len) if tree.operator == "OR" else frozenset().union(*each)


def _tokens(expression: str) -> list[str]:
    found, at = [], 0
    text = expression.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"{expression!r} is no SPDX expression")
        found.append(match[1])
        at = match.end()
    return found


def _either(tokens: list[str]) -> str | Parts:
    return _joined(tokens, "OR", lambda rest: _joined(rest, "AND", _one))


def _joined(tokens: list[str], operator: str, part: Callable[[list[str]], str | Parts]) -> str | Parts:
    parts = [part(tokens)]
    while tokens and tokens[0].upper() == operator:
        tokens.pop(0)
        parts.append(part(tokens))
    return parts[0] if len(parts) == 1 else Parts(operator, tuple(parts))


def _one(tokens: list[str]) -> str | Parts:
    if not tokens:
        raise ValueError("an SPDX expression ends too early")
    word = tokens.pop(0)
    if word == "(":
        inner = _either(tokens)
        if not tokens or tokens.pop(0) != ")":
            raise ValueError("an SPDX expression lacks a )")
        return inner
    if word == ")" or word.upper() in {"AND", "OR", "WITH"}:
        raise ValueError(f"an SPDX expression has {word} where a licence belongs")
    if tokens and tokens[0].upper() == "WITH":
        tokens.pop(0)
        if not tokens:
            raise ValueError("an SPDX expression ends after WITH")
        return f"{word} WITH {tokens.pop(0)}"
    return word
