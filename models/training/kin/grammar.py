"""Questions from a grammar: `(a|b)` is one of them, `[a]` is there or not, `$name` is one of a list, `{intersection}` a
placeholder. phrases/grammar.txt holds the rules."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.assistant.tools import Tool
from models.training.kin.lessons import FREE_TEXT, Phrase

_TOKEN = re.compile(r"[()\[\]|]|\$\w+|\{\w+\}|[^()\[\]|${}]+")
_REPEATED = re.compile(r"<([^<>]*)>")
FOLDER = Path(__file__).parent / "phrases"
RULES = ("grammar.txt", "own.txt", "idioms.txt")


@dataclass(frozen=True)
class Rule:
    """tool and arguments: of what it spells; value and status are fixed by the section that it stands in."""

    tool: Tool
    fixed: dict[str, Any]
    text: str


class Grammar:
    """Sections are `[tool]`, `[tool status=offline]`, `[tool value=true]`; lists are lines `$name = a | b`, and `<...>`
    is left out where it stands: it shows a reader what an argument repeats."""

    def __init__(self, source: str) -> None:
        self.lists: dict[str, str] = {}
        self.rules: list[Rule] = []
        tool, fixed = Tool.NONE, {}
        for line in source.splitlines():
            said = line.strip()
            if not said or said.startswith("#"):
                continue
            if header := re.fullmatch(r"\[(\w+)((?: \w+=\w+)*)\]", said):
                tool = Tool(header[1])
                fixed = {key: _constant(value) for key, value in (one.split("=") for one in header[2].split())}
            elif said.startswith("$"):
                name, _, body = said.partition("=")
                self.lists[name.strip()] = f"({body.strip()})"
            else:
                self.rules.append(Rule(tool, fixed, _REPEATED.sub(r"\1", said)))
        self._by_tool = {tool: [rule for rule in self.rules if rule.tool == tool] for tool in Tool}

    @staticmethod
    def shipped() -> Grammar:
        return Grammar("\n".join((FOLDER / name).read_text() for name in RULES))

    def phrase(self, chance: random.Random, tool: Tool) -> Phrase:
        rule = chance.choice(self._by_tool[tool])
        arguments = dict(rule.fixed)
        question = self.expand(rule.text, chance)
        for kind in ("intersection", "approach", "device"):
            if f"{{{kind}}}" in question and _takes(tool, kind):
                arguments[kind] = f"{{{kind}}}"
        if "{minutes}" in question:
            said, minutes = duration(chance)
            question = question.replace("{minutes}", said)
            arguments["minutes"] = minutes
        if tool is Tool.SET_SETTING:
            arguments["name"] = "{setting}"
            if "{number}" in question:
                said, arguments["value"] = number(chance)
                question = question.replace("{number}", said)
            elif "{word}" in question:
                arguments["value"] = self.expand("$setting_word", chance)
                question = question.replace("{word}", str(arguments["value"]))
        for name in ("text", "topic"):
            if f"{{{name}}}" in question:
                said = self.expand(f"${name}", chance)
                question = question.replace(f"{{{name}}}", said)
                arguments[FREE_TEXT[tool]] = said
        order = [one for one in ("intersection", "approach", "minutes", "device", "name", "value") if one in arguments]
        ordered = {one: arguments[one] for one in [*order, *arguments] if one in arguments}
        return Phrase(" ".join(question.split()), tool, ordered)

    def expand(self, text: str, chance: random.Random) -> str:
        tokens = _TOKEN.findall(text)
        said, rest = self._sequence(tokens, 0, chance)
        if rest != len(tokens):
            raise ValueError(f"brackets do not match in {text!r}")
        return " ".join(said.split())

    def _sequence(self, tokens: Sequence[str], place: int, chance: random.Random) -> tuple[str, int]:
        """One of the alternatives up to a closing bracket or the end."""
        options: list[list[str]] = [[]]
        while place < len(tokens) and tokens[place] not in (")", "]"):
            part = tokens[place]
            if part in ("(", "["):
                inner, place = self._sequence(tokens, place + 1, chance)
                options[-1].append(inner if part == "(" or chance.random() < 0.4 else "")
            elif part == "|":
                options.append([])
            elif part.startswith("$"):
                options[-1].append(self.expand(self.lists[part], chance))
            else:
                options[-1].append(part)
            place += 1
        return "".join(chance.choice(options)), place


def _takes(tool: Tool, kind: str) -> bool:
    return {
        "intersection": tool in (Tool.GET_CONGESTION, Tool.GET_SIGNAL),
        "approach": tool is Tool.GET_CONGESTION,
        "device": tool in (Tool.GET_DEVICE, Tool.GET_CAMERA, Tool.SET_SETTING),
    }[kind]


def _constant(text: str) -> Any:
    return {"true": True, "false": False}.get(text, text)


SPOKEN = {
    1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 10: "ten", 12: "twelve",
    15: "fifteen", 20: "twenty", 25: "twenty five", 30: "thirty", 40: "forty", 45: "forty-five", 50: "fifty",
    60: "sixty", 75: "seventy-five", 80: "eighty", 90: "ninety", 100: "a hundred", 120: "one hundred and twenty",
}  # fmt: skip


def duration(chance: random.Random) -> tuple[str, int]:
    fixed = (
        ("half hour", 30), ("half an hour", 30), ("hour", 60), ("quarter of an hour", 15), ("quarter hour", 15),
        ("hour and a half", 90), ("couple of hours", 120), ("24 hours", 1440), ("three quarters of an hour", 45),
    )  # fmt: skip
    if chance.random() < 0.3:
        return chance.choice(fixed)
    if chance.random() < 0.35:
        hours = chance.choice((1, 2, 3, 4, 5, 6, 8, 12))
        said = SPOKEN[hours] if chance.random() < 0.5 else str(hours)
        return f"{said}{chance.choice((' hours', ' hrs', 'h', ' hours'))}", 60 * hours
    minutes = chance.choice((2, 3, 5, 7, 8, 10, 12, 15, 20, 25, 30, 35, 40, 45, 50, 60, 75, 90, 120))
    said = SPOKEN[minutes] if minutes in SPOKEN and chance.random() < 0.5 else str(minutes)
    return f"{said} {chance.choice(('minutes', 'minutes', 'min', 'mins'))}", minutes


def number(chance: random.Random) -> tuple[str, int | float]:
    kind = chance.random()
    if kind < 0.3:
        value = chance.choice(list(SPOKEN))
        return SPOKEN[value], value
    if kind < 0.5:
        tenth = round(chance.uniform(0.05, 9.9), chance.choice((1, 2)))
        return str(tenth), tenth
    whole = chance.choice((0, 1, 2, 3, 5, 8, 10, 12, 15, 20, 24, 25, 30, 45, 50, 55, 60, 64, 75, 90, 100, 120, 150, 200,
                           250, 300, 400, 500, 640, 720, 900, 1000, 1080, 1500, 2000, 3600, -5, -10))  # fmt: skip
    unit = chance.choice(("", "", "", "", " percent", "%", " seconds", " fps", " lux", " metres", " kbit", " degrees"))
    return f"{whole}{unit}", whole
