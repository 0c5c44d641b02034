"""Functions that a member may call. A grammar over their schemas makes its calls, so that each can be read; what they
do is the business of whoever asked.

A call is said as `<call>[{"name": ..., "arguments": {...}}]`. A text of its own may begin with anything but that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from models.engine.schema import grammar_of
from models.errors import RequestUnserved
from models.serving.template import Said

MARK = "<call>"
MOST_TOOLS, MOST_CALLS = 64, 8
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
Chosen = Literal["none", "auto", "required"]


@dataclass(frozen=True)
class Tool:
    """schema: of its arguments, an object's."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """arguments: JSON, as it was said."""

    name: str
    arguments: str


@dataclass(frozen=True)
class Toolbox:
    """chosen: whether the member may call, or must. named: the one that it must call, "" for any. parallel: whether
    several at once."""

    tools: tuple[Tool, ...]
    chosen: Chosen = "auto"
    named: str = ""
    parallel: bool = True

    def __post_init__(self) -> None:
        """Raises RequestUnserved (KF501)."""
        names = [one.name for one in self.tools]
        if len(names) > MOST_TOOLS or len(set(names)) != len(names):
            raise RequestUnserved(detail=f"tools: at most {MOST_TOOLS}, each with a name of its own")
        for one in names:
            if not _NAME.fullmatch(one):
                raise RequestUnserved(detail=f"tools: {one[:80]!r} is no name; letters, digits, _ . and - make one")
        if self.named and self.named not in names:
            raise RequestUnserved(detail=f"tool_choice: there is no tool {self.named[:80]!r}")
        if self.chosen == "required" and not names:
            raise RequestUnserved(detail="tool_choice: one must be called, and there are no tools")

    @property
    def used(self) -> tuple[Tool, ...]:
        if self.chosen == "none":
            return ()
        return tuple(one for one in self.tools if not self.named or one.name == self.named)

    def grammar(self) -> str | None:
        """What an answer may be, in GBNF; None where nothing can be called. Raises SchemaRefused (KF397)."""
        if not self.used:
            return None
        _, _, calls = grammar_of(self._calls()).partition("root ::= ")
        text = "" if self.chosen == "required" else " | text"
        rules = [f'root ::= "{MARK}" calls{text}', f"calls ::= {calls}"]
        return "\n".join([*rules, *(_not_beginning(MARK) if text else ())])

    def told(self) -> list[Said]:
        """What the member is told of them, as the system."""
        if not self.used:
            return []
        lines = [
            f"Functions can be called. A call is {MARK} and a JSON array, with nothing before or behind it: "
            f'{MARK}[{{"name": "...", "arguments": {{...}}}}]. The functions, and of each the schema of its arguments:'
        ]
        lines += [f"- {one.name}: {one.description or 'no description'} {json_of(one.schema)}" for one in self.used]
        if self.chosen == "required":
            lines.append("Call one now.")
        return [Said("system", "\n".join(lines) + "\n")]

    def _calls(self) -> dict[str, Any]:
        """As one schema: references within a tool's own lead to where it now lies."""
        names = {f"tool{place}": one for place, one in enumerate(self.used)}
        one_of = [
            {
                "type": "object",
                "properties": {"name": {"const": one.name}, "arguments": {"$ref": f"#/$defs/{place}"}},
                "required": ["name", "arguments"],
            }
            for place, one in names.items()
        ]
        most = MOST_CALLS if self.parallel and not self.named else 1
        defined = {place: _moved(_object(one.schema), f"#/$defs/{place}/") for place, one in names.items()}
        return {"type": "array", "minItems": 1, "maxItems": most, "items": {"anyOf": one_of}, "$defs": defined}


def call_said(calls: Sequence[Call]) -> Said:
    """Calls that were made before, as the member said them."""
    told = [f'{{"name": {json.dumps(one.name)}, "arguments": {one.arguments}}}' for one in calls]
    return Said("assistant", f"{MARK}[{', '.join(told)}]")


def result_said(name: str, result: str) -> Said:
    """What a call gave. It is told as a person's word, since no member knows another role for it."""
    return Said("user", f"{name} gave: {result}" if name else f"The call gave: {result}")


class CallReader:
    """Tells a text from calls while it comes. active: whether there can be calls at all."""

    def __init__(self, active: bool) -> None:
        self._open, self._calling, self._held = active, False, ""

    def add(self, text: str) -> str:
        """What is certain to be text."""
        if not self._open:
            return text
        self._held += text
        self._calling = self._held.startswith(MARK)
        if self._calling or MARK.startswith(self._held):
            return ""
        self._open = False
        return self._held

    def end(self) -> tuple[str, list[Call]]:
        """What was held back: text that only began like a call, or the calls that are whole."""
        if not self._open:
            return "", []
        return ("", calls_in(self._held[len(MARK) :])) if self._calling else (self._held, [])


def calls_in(text: str) -> list[Call]:
    """The whole calls of an array that may be cut short."""
    decoder, found, place = json.JSONDecoder(), [], text.find("[") + 1
    while place:
        while place < len(text) and text[place] in " \n,":
            place += 1
        try:
            call, end = decoder.raw_decode(text, place)
        except ValueError:
            break
        if isinstance(call, dict) and isinstance(call.get("name"), str):
            found.append(Call(call["name"], json_of(call.get("arguments", {}))))
        place = end
    return found


def json_of(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _object(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A tool without arguments often has no schema, or an empty one."""
    return {"type": "object", "properties": {}} if not schema else dict(schema)


def _moved(schema: Any, place: str) -> Any:
    if isinstance(schema, Mapping):
        return {
            key: place + one[2:]
            if key == "$ref" and isinstance(one, str) and one.startswith("#/")
            else _moved(one, place)
            for key, one in schema.items()
        }
    return [_moved(one, place) for one in schema] if isinstance(schema, list) else schema


def _not_beginning(mark: str) -> list[str]:
    """Rules for every text that does not begin with the whole mark, from its last letter to its first."""
    rules = ["any ::= [^\\x00]*"]
    for place in range(len(mark) - 1, -1, -1):
        name = "text" if place == 0 else f"text{place}"
        more = f' | "{mark[place]}" text{place + 1}' if place < len(mark) - 1 else ""
        rules.append(f'{name} ::= "" | [^{mark[place]}] any{more}')
    return rules
