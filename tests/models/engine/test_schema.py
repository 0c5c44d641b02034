"""JSON schemas become grammars, or are refused: nothing in them is ignored."""

from __future__ import annotations

import pytest

from models.engine.schema import grammar_of
from models.errors import SchemaRefused


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "string", "pattern": "^a+$"},
        {"type": "string", "format": "date"},
        {"type": "integer", "minimum": 3},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["b"]},
        {"type": "object", "additionalProperties": True},
        {"type": "object", "properties": {"a": {}}},
        {"type": "array"},
        {"type": "array", "items": {"type": "null"}, "minItems": 3, "maxItems": 2},
        {"type": "string", "maxLength": 1_000_000},
        {"type": "file"},
        {"enum": []},
        {"anyOf": []},
        {"allOf": [{"type": "string"}]},
        {"$ref": "https://example.org/schema.json"},
        {"$ref": "#/$defs/none"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
        {"const": {1, 2}},
        {"enum": [float("nan")]},
        {
            "anyOf": [{"const": number} for number in range(3)] * 400
            + [{"type": "array", "items": {"type": "null"}}] * 600
        },
    ],
)
def test_what_can_not_be_held_to_is_refused(schema: dict[str, object]) -> None:
    with pytest.raises(SchemaRefused):
        grammar_of(schema)


def test_a_schema_that_is_nested_without_end_is_refused() -> None:
    schema: dict[str, object] = {"type": "null"}
    for _ in range(100_000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(SchemaRefused):
        grammar_of(schema)
    while "items" in schema:  # taken apart step by step: freeing it at once would recurse as deeply
        schema = schema.pop("items")  # type: ignore[assignment]
