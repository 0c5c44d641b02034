"""A JSON schema as a grammar (llama.cpp's GBNF) for what follows it, and nothing else.

Taken: type (object, array, string, integer, number, boolean, null, or a list of these), properties, required,
additionalProperties false, items, minItems, maxItems, minLength, maxLength, enum, const, anyOf, oneOf, and $ref into
$defs of the same schema; title, description, default, examples and $schema say nothing about form. An object's
properties come in the order in which the schema names them. Any other keyword is refused: it would be ignored silently.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from models.errors import SchemaRefused

ANNOTATIONS = frozenset({"title", "description", "default", "examples", "$schema", "$id", "$defs", "definitions"})
# The types that keywords beside `type` speak of.
SHAPED = ("object", "array", "string")
MAX_RULES = 500
MAX_REPEATS = 2000

PRIMITIVES = {
    "ws": r"[ \n]?",
    "char": r'[^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})',
    "string": r'"\"" char* "\""',
    "integer": r'"-"? ("0" | [1-9] [0-9]{0,15})',
    "number": r'integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?',
    "boolean": '"true" | "false"',
    "null": '"null"',
}


def grammar_of(schema: Mapping[str, Any]) -> str:
    """Raises SchemaRefused (KF397)."""
    return _Converter(schema).converted()


class _Converter:
    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._root = schema
        self._rules: dict[str, str] = dict(PRIMITIVES)
        self._references: dict[str, str] = {}

    def converted(self) -> str:
        try:
            body = self._value(self._root)
        except RecursionError as error:
            raise SchemaRefused(detail="it is nested too deeply") from error
        return "\n".join(f"{name} ::= {text}" for name, text in {"root": body, **self._rules}.items())

    def _value(self, schema: Any) -> str:
        """The name of a rule, or a body that can stand in brackets."""
        if schema is True or schema == {}:
            raise SchemaRefused(detail="a part of it allows any value; name a type")
        if not isinstance(schema, Mapping):
            raise SchemaRefused(detail=f"{schema!r:.60} is no schema")
        known = {key: value for key, value in schema.items() if key not in ANNOTATIONS}
        if "$ref" in known:
            self._only(known, "$ref")
            return self._reference(known["$ref"])
        if "const" in known:
            self._only(known, "const", "type")
            return _literal(known["const"])
        if "enum" in known:
            self._only(known, "enum", "type")
            return self._choice(known["enum"], _literal, "enum")
        for name in ("anyOf", "oneOf"):
            if name in known:
                self._only(known, name)
                return self._choice(known[name], self._value, name)
        kind = known.get("type")
        if isinstance(kind, list):
            return self._choice(
                kind, lambda one: self._value({**(known if one in SHAPED else {}), "type": one}), "type"
            )
        return self._typed(kind, known)

    def _typed(self, kind: Any, known: Mapping[str, Any]) -> str:
        if kind == "object":
            return self._object(known)
        if kind == "array":
            return self._array(known)
        if kind == "string":
            self._only(known, "type", "minLength", "maxLength")
            return r'"\"" char' + self._repeat(known, "minLength", "maxLength") + r' "\""'
        if kind in PRIMITIVES and kind not in ("ws", "char"):
            self._only(known, "type")
            return str(kind)
        raise SchemaRefused(detail=f"the type {kind!r} is not known")

    def _object(self, known: Mapping[str, Any]) -> str:
        self._only(known, "type", "properties", "required", "additionalProperties")
        if known.get("additionalProperties") not in (None, False):
            raise SchemaRefused(detail="additionalProperties other than false")
        properties = known.get("properties", {})
        required = known.get("required", [])
        if not isinstance(properties, Mapping) or not isinstance(required, list) or set(required) - set(properties):
            raise SchemaRefused(detail="required names what properties does not have")
        pairs = [
            (self._rule(f'{_literal(name)} ws ":" ws {_bracketed(self._value(one))}'), name in required)
            for name, one in properties.items()
        ]
        return '"{" ws ' + self._members(pairs) + ' "}"'

    def _members(self, pairs: list[tuple[str, bool]]) -> str:
        """Members in order, the optional ones there or not, a comma between any two that are."""
        # From the last member to the first: what may follow while none stands before it, and once one does.
        first = later = '""'
        for rule, needed in reversed(pairs):
            begun = f"{rule} ws {later}"
            first = self._rule(begun if needed else f"{begun} | {first}")
            later = self._rule(f'"," ws {rule} ws {later}' if needed else f'("," ws {rule} ws)? {later}')
        return first

    def _array(self, known: Mapping[str, Any]) -> str:
        self._only(known, "type", "items", "minItems", "maxItems")
        if "items" not in known:
            raise SchemaRefused(detail="an array without items")
        item = self._rule(self._value(known["items"]))
        low, high = self._bounds(known, "minItems", "maxItems")
        if high == 0:
            return '"[" ws "]"'
        more = f'("," ws {item} ws)' + _times(max(0, low - 1), None if high is None else high - 1)
        some = f"{item} ws {more}"
        return f'"[" ws ({some}) "]"' if low else f'"[" ws ({some})? "]"'

    def _reference(self, target: Any) -> str:
        place: Any = self._root
        if not isinstance(target, str) or not target.startswith("#/"):
            raise SchemaRefused(detail=f"$ref {target!r} leads out of the schema")
        if target in self._references:
            return self._references[target]
        for key in target[2:].split("/"):
            place = place.get(key) if isinstance(place, Mapping) else None
        if place is None:
            raise SchemaRefused(detail=f"$ref {target!r} leads nowhere")
        # Named before it is converted, so that it may speak of itself.
        name = self._references[target] = f"ref{len(self._references)}"
        self._rules[name] = ""
        self._rules[name] = self._value(place)
        if self._rules[name] == name:
            raise SchemaRefused(detail=f"$ref {target!r} is itself")
        return name

    def _choice(self, options: Any, convert: Callable[[Any], str], name: str) -> str:
        if not isinstance(options, list) or not options:
            raise SchemaRefused(detail=f"{name} lists nothing")
        return self._rule(" | ".join(_bracketed(convert(one)) for one in options))

    def _repeat(self, known: Mapping[str, Any], least: str, most: str) -> str:
        return _times(*self._bounds(known, least, most))

    def _bounds(self, known: Mapping[str, Any], least: str, most: str) -> tuple[int, int | None]:
        low, high = known.get(least, 0), known.get(most)
        for value in (low, high):
            if value is not None and (type(value) is not int or not 0 <= value <= MAX_REPEATS):
                raise SchemaRefused(detail=f"{least} and {most} are whole numbers up to {MAX_REPEATS}")
        if high is not None and high < low:
            raise SchemaRefused(detail=f"{most} is below {least}")
        return low, high

    def _rule(self, body: str) -> str:
        if len(self._rules) >= MAX_RULES:
            raise SchemaRefused(detail=f"it has more than {MAX_RULES} parts")
        name = f"r{len(self._rules)}"
        self._rules[name] = body
        return name

    def _only(self, known: Mapping[str, Any], *allowed: str) -> None:
        if other := sorted(set(known) - set(allowed)):
            raise SchemaRefused(detail=f"the keyword {other[0]!r} can't be held to here")


def _times(low: int, high: int | None) -> str:
    if high is None:
        return "*" if low == 0 else f"{{{low},}}"
    return f"{{{low},{high}}}"


def _bracketed(body: str) -> str:
    return f"({body})"


def _literal(value: Any) -> str:
    """A JSON value's text, as a terminal of the grammar."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SchemaRefused(detail=f"{value!r:.60} is no JSON") from error
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'
