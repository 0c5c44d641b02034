"""Questions in people's own words against the assistant's understanding: tools, arguments, confidence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from msgspec import Struct

from benchmarks.errors import QuestionsUnreadable
from models.assistant.tools import OPTIONAL, REQUIRED, Tool, Value, equal_arguments
from models.assistant.understanding.choice import Choice, Entities, Understanding

# What the author wrote who had not seen how the training's questions are worded.
HELD_BACK = Path(__file__).parent / "held_back.jsonl"


class Question(Struct, frozen=True, kw_only=True):
    """One line of a file: what is asked, of which site, and the right answer."""

    question: str
    entities: Entities
    tool: Tool
    arguments: dict[str, Value] = {}


class Miss(Struct, frozen=True, kw_only=True):
    question: str
    wanted: dict[str, Any]
    chosen: dict[str, Any]
    confidence: float
    sure: bool


class Figures(Struct, frozen=True, kw_only=True):
    """tool_accuracy, tool_and_arguments_accuracy: of the likeliest choice, also where it is not sure.
    sure_and_wrong_rate: share of all questions on which a wrong choice, tool or arguments, would have been acted upon.
    abstained_rate: share on which the choice was not sure: "I don't know", or the tier above is asked.
    answered_and_right_rate: sure, and right. ms_per_question: the median."""

    tool_accuracy: float
    tool_and_arguments_accuracy: float
    sure_and_wrong_rate: float
    abstained_rate: float
    answered_and_right_rate: float
    ms_per_question: float
    questions: int
    by_tool: dict[str, float]
    misses: list[Miss]


def read_questions(path: Path) -> list[Question]:
    """Raises QuestionsUnreadable (KF460)."""
    found = []
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.strip():
                one = msgspec.json.decode(line, type=Question)
                if (wrong := _unknown(one)) is not None:
                    raise QuestionsUnreadable(path=path, detail=f"line {number}: {wrong}")
                found.append(one)
    except (OSError, UnicodeDecodeError) as error:
        raise QuestionsUnreadable(path=path, detail=error) from error
    except msgspec.DecodeError as error:
        raise QuestionsUnreadable(path=path, detail=f"line {number}: {error}") from error
    if not found:
        raise QuestionsUnreadable(path=path, detail="it holds no question")
    return found


def _unknown(one: Question) -> str | None:
    known = set(REQUIRED[one.tool]) | set(OPTIONAL.get(one.tool, {}))
    strange = set(one.arguments) - known
    lacking = set(REQUIRED[one.tool]) - set(one.arguments)
    if strange or lacking:
        names = ", ".join(sorted(strange | lacking))
        return f"{one.tool} does not take these arguments, or lacks them: {names}"
    return None


def measure(
    understanding: Understanding, questions: Sequence[Question], told: Callable[[int], None] = lambda _: None
) -> Figures:
    choices, took_ms = [], []
    for number, one in enumerate(questions):
        began = time.perf_counter()
        choices.append(understanding.choose(one.question, one.entities))
        took_ms.append((time.perf_counter() - began) * 1000)
        told(number + 1)
    return judge(questions, choices, median(took_ms))


def judge(questions: Sequence[Question], choices: Sequence[Choice], ms: float = 0.0) -> Figures:
    """One choice a question."""
    pairs = list(zip(questions, choices, strict=True))
    right = [one.tool == made.tool and equal_arguments(one.arguments, made.arguments) for one, made in pairs]
    tools = [one.tool == made.tool for one, made in pairs]
    by_tool = {
        str(tool): _share(ok for ok, one in zip(right, questions, strict=True) if one.tool == tool)
        for tool in Tool
        if any(one.tool == tool for one in questions)
    }
    misses = [
        Miss(
            question=one.question,
            wanted={"tool": str(one.tool), "arguments": one.arguments},
            chosen={"tool": str(made.tool), "arguments": made.arguments},
            confidence=round(made.confidence, 4),
            sure=made.sure,
        )
        for (one, made), ok in zip(pairs, right, strict=True)
        if not ok
    ]
    return Figures(
        tool_accuracy=_share(tools),
        tool_and_arguments_accuracy=_share(right),
        sure_and_wrong_rate=_share(made.sure and not ok for made, ok in zip(choices, right, strict=True)),
        abstained_rate=_share(not made.sure for made in choices),
        answered_and_right_rate=_share(made.sure and ok for made, ok in zip(choices, right, strict=True)),
        ms_per_question=round(ms, 2),
        questions=len(questions),
        by_tool=by_tool,
        misses=misses,
    )


def _share(held: Iterable[bool]) -> float:
    values = list(held)
    return round(sum(values) / len(values), 4) if values else 0.0
