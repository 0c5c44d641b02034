"""Questions to learn from: a phrase with placeholders becomes tokens with marks, and what is to be read off them.

A phrase is a line of JSON: {question, tool, arguments}, in which {intersection}, {device}, {approach} and {setting}
stand for a site's own names, in the question and in the arguments.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from models.assistant.tools import STATUSES, Tool
from models.assistant.understanding.durations import durations
from models.assistant.understanding.marked import Part, parts_of, plain, tokens_of
from models.training.kin.tokenizer import CONTROL, Tokenizer

TOOLS = tuple(Tool)
_PLACEHOLDER = re.compile(r"\{(intersection|device|approach|setting)\}")
NO_SPAN = -100
# Share of the questions with gaps, and of their tokens that are left out.
WITH_GAPS, GAP = 0.35, 0.12
FREE_TEXT = {Tool.REMEMBER: "text", Tool.RECALL: "topic", Tool.FORGET: "topic"}


@dataclass(frozen=True)
class Phrase:
    question: str
    tool: Tool
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def span(self) -> str:
        """The words of the question that an argument repeats, empty when none does."""
        value = self.arguments.get(FREE_TEXT.get(self.tool, "value"))
        return value if isinstance(value, str) else ""


@dataclass(frozen=True)
class Lesson:
    """tokens: the question between <|user|> and <|tool|>, then the call. question: tokens up to and with <|tool|>.
    status: 0 for none. switch: 0 off, 1 on, 2 neither. begin, end: first and last token of the free text."""

    tokens: list[int]
    question: int
    tool: int
    status: int
    switch: int
    begin: int = NO_SPAN
    end: int = NO_SPAN


def read_phrases(path: Path) -> list[Phrase]:
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return [Phrase(row["question"], Tool(row["tool"]), row.get("arguments", {})) for row in rows]


def lesson(phrase: Phrase, tokenizer: Tokenizer, chance: random.Random | None = None) -> Lesson:
    """chance: leaves out a token here and there, so that not all hangs on one word."""
    text, parts, span = laid_out(phrase)
    tokens = tokens_of(text, parts, tokenizer.encode, tokenizer.piece, tokenizer.control)
    begin = end = NO_SPAN
    if span is not None:
        inside = [place for place, one in enumerate(tokens) if one.start < span[1] and span[0] < one.end]
        if inside:
            begin, end = inside[0] + 1, inside[-1] + 1
    numbers = [one.number for one in tokens]
    if chance is not None and chance.random() < WITH_GAPS:
        inside_span = range(begin - 1, end) if begin != NO_SPAN else range(0)
        pad = tokenizer.control("pad")
        numbers = [
            pad if one >= len(CONTROL) and place not in inside_span and chance.random() < GAP else one
            for place, one in enumerate(numbers)
        ]
    question = [tokenizer.control("user"), *numbers, tokenizer.control("tool")]
    value = phrase.arguments.get("value")
    status = phrase.arguments.get("status")
    return Lesson(
        tokens=[*question, *_call(phrase, tokenizer), tokenizer.control("end")],
        question=len(question),
        tool=TOOLS.index(phrase.tool),
        status=STATUSES.index(status) + 1 if status in STATUSES else 0,
        switch=int(value) if isinstance(value, bool) else 2,
        begin=begin,
        end=end,
    )


def laid_out(phrase: Phrase) -> tuple[str, list[Part], tuple[int, int] | None]:
    """The text as `plain` has it, its parts with their marks, and where the free text is."""
    # A placeholder that a phrase leaves open is spelled "{device}" in the text, and covered by its mark.
    text = plain(phrase.question)
    marks = [Part(one.start(), one.end(), one[1]) for one in _PLACEHOLDER.finditer(text)]  # type: ignore[arg-type]
    marks += [
        Part(one.start, one.end, "duration")
        for one in durations(text)
        if not any(part.start < one.end and one.start < part.end for part in marks)
    ]
    span = None
    if phrase.span:
        place = text.rfind(plain(phrase.span))
        if place >= 0:
            span = (place, place + len(phrase.span))
    return text, parts_of(len(text), marks), span


def _call(phrase: Phrase, tokenizer: Tokenizer) -> list[int]:
    tokens = tokenizer.encode(f" {phrase.tool.value}")
    for name, value in phrase.arguments.items():
        tokens += tokenizer.encode(f" {name}=")
        kind = _PLACEHOLDER.fullmatch(str(value))
        said = json.dumps(value) if not isinstance(value, str) else value.lower()
        mark = "duration" if name == "minutes" else kind[1] if kind else ""
        tokens += [tokenizer.control(mark)] if mark else tokenizer.encode(said)
    return tokens


# --- other ways to say the same ---------------------------------------------------------------------------------------

BEFORE = (
    "please", "hey", "hi", "hello", "ok", "okay", "so", "um", "uh", "hey there", "good morning", "good evening", "kin",
    "assistant", "hey kin", "excuse me", "sorry", "quick one", "quick question", "and", "also", "well", "now", "right",
    "alright", "pls", "yo", "dear assistant", "one more thing", "listen", "oh", "by the way", "say", "look", "morning",
)  # fmt: skip
AFTER = (
    "please", "pls", "thanks", "thank you", "cheers", "thx", "now", "right now", "asap", "for me", "ok", "please and"
    " thank you", "if you can", "quickly", "when you get a chance", "will you", "would you", "ta", "many thanks",
)  # fmt: skip
AFTER_STATE = ("at the moment", "currently", "today", "just now", "at present", "these days", "this minute", "again")
STATEFUL = {
    Tool.GET_CONGESTION, Tool.GET_SIGNAL, Tool.LIST_EMERGENCY, Tool.GET_DEVICE, Tool.LIST_DEVICES, Tool.GET_CAMERA,
}  # fmt: skip


def varied(phrase: Phrase, chance: random.Random) -> Phrase:
    """The same question with other words around it, slips of the hand, without its marks of punctuation."""
    question = phrase.question
    if chance.random() < 0.35:
        question = question.rstrip(" .?!")
    if chance.random() < 0.12:
        question = f"{chance.choice(BEFORE)}{chance.choice((',', ''))} {question}"
    if chance.random() < 0.12:
        endings = AFTER + (AFTER_STATE if phrase.tool in STATEFUL else ())
        body, mark = (question[:-1], question[-1]) if question[-1:] in tuple(".?!") else (question, "")
        question = f"{body}{chance.choice((',', '', ''))} {chance.choice(endings)}{mark}"
    if chance.random() < 0.25:
        question = _slipped(question, phrase.span, chance)
    return replace(phrase, question=question)


def _slipped(question: str, keep: str, chance: random.Random) -> str:
    """One or two slips, none in a placeholder nor in words that an argument repeats."""
    for _ in range(chance.choice((1, 1, 2))):
        free = [
            one
            for one in re.finditer(r"[A-Za-z']{4,}", question)
            if not (one.start() and question[one.start() - 1] == "{")
            and (not keep or not (question.find(keep) <= one.start() < question.find(keep) + len(keep)))
        ]
        if not free:
            break
        word = chance.choice(free)
        question = question[: word.start()] + _slip(word[0], chance) + question[word.end() :]
    return question


def _slip(word: str, chance: random.Random) -> str:
    place = chance.randrange(1, len(word) - 1)
    match chance.randrange(4):
        case 0:
            return word[:place] + word[place + 1 :]
        case 1:
            return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
        case 2:
            return word[:place] + word[place] + word[place:]
        case _:
            return word[:place] + chance.choice("abcdefghijklmnopqrstuvwxyz") + word[place + 1 :]
