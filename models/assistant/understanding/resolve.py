"""From what the heads read and what was found in a question to a tool and its arguments. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.assistant.tools import REQUIRED, STATUSES, Tool, Value
from models.assistant.understanding.durations import Duration
from models.assistant.understanding.heads import TOOLS, Reading
from models.assistant.understanding.marked import Token
from models.assistant.understanding.mentions import Kind, Mention
from models.assistant.understanding.spans import Spoken, best_span, chances
from models.assistant.understanding.spelling import spelled
from models.assistant.understanding.values import value_of

FREE_TEXT = {Tool.REMEMBER: "text", Tool.RECALL: "topic", Tool.FORGET: "topic"}
# How much the residual counts beside the words, for free text and for the text of a value.
RESIDUAL, RESIDUAL_OF_VALUES = 2.0, 0.5
# How likely it is that a tool is meant for which a name is found clearly, faintly, or not at all.
CLEARLY, FAINTLY, NOT = 1.0, 0.85, 0.4
_EDGES = " \t\n\"'`.,;:!?()[]{}<>-*"


@dataclass(frozen=True)
class Found:
    """What a question holds. text: as `plain` gives it; question: as it was asked, letter for letter as long. marked:
    mentions that the model saw as marks; mentions: all. tokens: between the opening and the closing one."""

    question: str
    text: str
    marked: tuple[Mention, ...]
    mentions: tuple[Mention, ...]
    durations: tuple[Duration, ...]
    tokens: tuple[Token, ...]
    rows: tuple[int, ...] = ()
    said: tuple[Spoken, ...] = ()


@dataclass(frozen=True)
class Resolved:
    """chance: of the tool, names considered; next: of the second. parts: how sure each argument is, 0 to 1.
    alone: chance of the tool by the residual alone."""

    tool: Tool
    arguments: dict[str, Value]
    chance: float
    next: float
    parts: tuple[float, ...]
    alone: float

    @property
    def features(self) -> tuple[float, ...]:
        """For the calibration (confidence.py)."""
        weakest = min(self.parts, default=1.0)
        product = float(np.prod(self.parts)) if self.parts else 1.0
        return (
            _log_odds(self.chance),
            _log_odds(self.alone),
            self.chance - self.next,
            self.chance * self.alone,
            weakest,
            product,
            product if self.tool in FREE_TEXT or self.tool is Tool.SET_SETTING else 0.0,
            1.0 if self.tool is Tool.NONE else 0.0,
            1.0 if self.tool in FREE_TEXT else 0.0,
            1.0 if self.tool is Tool.SET_SETTING else 0.0,
            1.0 if self.tool is Tool.GET_CONGESTION else 0.0,
        )


def resolve(found: Found, reading: Reading) -> Resolved:
    likely = np.array([reading.tools[place] * _feasible(tool, found) for place, tool in enumerate(TOOLS)])
    likely /= likely.sum()
    order = np.argsort(-likely)
    tool = TOOLS[int(order[0])]
    arguments, parts = _arguments(tool, found, reading)
    first, second = (float(likely[one]) for one in order[:2])
    alone = first if reading.alone is None else float(reading.alone[order[0]])
    return Resolved(tool, arguments, first, second, tuple(parts), alone)


def _log_odds(chance: float) -> float:
    return float(np.log(max(chance, 1e-4) / max(1 - chance, 1e-4)))


def _feasible(tool: Tool, found: Found) -> float:
    chance = 1.0
    for kind in REQUIRED[tool].values():
        if kind in ("intersection", "device", "setting"):
            best = _best(kind, found)
            chance *= NOT if best is None else CLEARLY if best[0].is_clear else FAINTLY
    return chance


def _best(kind: str, found: Found, beside: Sequence[Mention] = ()) -> tuple[Mention, float] | None:
    """The likeliest mention of a kind, and how sure it is. beside: mentions that are something else."""
    ranked: list[tuple[float, Mention]] = []
    for one in found.mentions:
        if one.kind == kind:
            lost = 0.3 if any(one.overlaps(other) for other in beside) else 0.0
            marked = 0.1 if one in found.marked else 0.0
            ranked.append((one.rank + marked - lost, one))
    if not ranked:
        return None
    ranked.sort(key=lambda pair: (-pair[0], pair[1].start))
    first, mention = ranked[0]
    # A site may list a thing twice, by its id and by its name: one of the two is as good as the other.
    same = spelled(mention.name)
    other = next((rank for rank, one in ranked if spelled(one.name) != same), None)
    ahead = 1.0 if other is None else min(1.0, max(0.0, first - other) / 0.25)
    return mention, min(1.0, mention.score) * (0.5 + 0.5 * ahead)


def _arguments(tool: Tool, found: Found, reading: Reading) -> tuple[dict[str, Value], list[float]]:
    arguments: dict[str, Value] = {}
    parts: list[float] = []
    taken: list[Mention] = []

    def name(argument: str, kind: Kind) -> None:
        best = _best(kind, found, taken)
        parts.append(best[1] if best is not None else 0.0)
        if best is not None:
            arguments[argument] = best[0].name
            taken.append(best[0])

    if tool in FREE_TEXT:
        text, sure = _free_text(found, reading, tool)
        parts.append(sure if text else 0.0)
        if text:
            arguments[FREE_TEXT[tool]] = text
    elif tool in (Tool.GET_CONGESTION, Tool.GET_SIGNAL):
        name("intersection", "intersection")
        if tool is Tool.GET_CONGESTION:
            _add_approach(found, taken, arguments, parts)
            _add_minutes(found, taken, arguments, parts)
    elif tool in (Tool.GET_DEVICE, Tool.GET_CAMERA):
        name("device", "device")
    elif tool is Tool.SET_SETTING:
        name("device", "device")
        name("name", "setting")
        word, likely = _free_text(found, reading, tool)
        value, sure = value_of(found.text, [(one.start, one.end) for one in taken], reading, word.lower(), likely)
        parts.append(sure)
        if value is not None:
            arguments["value"] = value
    elif tool is Tool.LIST_DEVICES:
        status = int(reading.statuses.argmax())
        parts.append(float(reading.statuses[status]))
        if status:
            arguments["status"] = STATUSES[status - 1]
    return arguments, parts


def _add_approach(found: Found, taken: list[Mention], arguments: dict[str, Value], parts: list[float]) -> None:
    free = [
        one
        for one in found.mentions
        if one.kind == "approach" and one.is_clear and not any(one.within(other) for other in taken)
    ]
    if free:
        best = max(free, key=lambda one: (one.rank, -one.start))
        arguments["approach"] = best.name
        others = [one.rank for one in free if one.name != best.name]
        parts.append(min(1.0, best.score) * (1.0 if not others or best.rank - max(others) > 0.1 else 0.6))


def _add_minutes(found: Found, taken: list[Mention], arguments: dict[str, Value], parts: list[float]) -> None:
    free = [
        one for one in found.durations if not any(one.start < other.end and other.start < one.end for other in taken)
    ]
    if free:
        arguments["minutes"] = free[-1].whole_minutes
        parts.append(0.95 if len(free) == 1 else 0.6)


def _free_text(found: Found, reading: Reading, tool: Tool) -> tuple[str, float]:
    """The likeliest stretch of whole words, and how likely it is: what the residual says and what the words say."""
    said = found.said
    if not any(one.is_word for one in said):
        return "", 0.0
    begins, ends = np.zeros(len(said)), np.zeros(len(said))
    if reading.spans is not None:
        begins, ends = chances(said, tool, reading.spans)
    weight = RESIDUAL_OF_VALUES if tool is Tool.SET_SETTING else RESIDUAL
    for place, one in enumerate(said):
        # Row 0 of a reading is the opening token, and the last the closing one.
        inside = [at for at, token in enumerate(found.tokens, 1) if token.start < one.end and one.start < token.end]
        begins[place] += weight * max((reading.begins[at] for at in inside), default=-20.0)
        ends[place] += weight * max((reading.ends[at] for at in inside), default=-20.0)
        if not one.is_word:
            begins[place] = ends[place] = -1e4
    first, last, sure = best_span(begins, ends)
    return found.question[said[first].start : said[last].end].strip(_EDGES), sure
