"""Which question comes next: of those written by hand, of those that the grammar makes, of what is said elsewhere."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from models.assistant.tools import Tool
from models.training.kin.documents import documents
from models.training.kin.grammar import Grammar
from models.training.kin.lessons import FREE_TEXT, Lesson, Phrase, lesson, read_phrases, varied
from models.training.kin.names import MAKERS
from models.training.kin.tokenizer import Tokenizer

FOLDER = Path(__file__).parent / "phrases"
# How often each tool is asked for.
SHARES = {
    Tool.GET_CONGESTION: 18, Tool.GET_SIGNAL: 9, Tool.LIST_EMERGENCY: 7, Tool.GET_DEVICE: 10, Tool.LIST_DEVICES: 10,
    Tool.GET_CAMERA: 9, Tool.SET_SETTING: 11, Tool.REMEMBER: 7, Tool.RECALL: 7, Tool.FORGET: 7, Tool.NONE: 12,
}  # fmt: skip
BY_HAND = 0.65
# A sentence before the question that says why it is asked.
WITH_REASON = 0.05
# A mention that was not found stays as it is spelled; one of two alike is taken for the wrong one.
UNFOUND, MISTAKEN = 0.05, 0.03
_OPEN = re.compile(r"\{(intersection|device|approach|setting)\}")
_TAKEN_FOR = {"intersection": "approach", "approach": "intersection", "device": "intersection"}


class Drawing:
    """phrases: by hand. elsewhere: what people say to other machines, none of it for ours."""

    def __init__(
        self,
        phrases: Sequence[Phrase],
        elsewhere: Sequence[str] = (),
        facts: Sequence[str] = (),
        things: Sequence[str] = (),
    ) -> None:
        """facts, things: to be remembered and asked for, beside those of the grammar."""
        self.phrases = tuple(phrases)
        self.grammar = Grammar.shipped()
        self.elsewhere = tuple(elsewhere)
        self._facts, self._things = tuple(facts), tuple(things)
        self._by_tool = {tool: [one for one in phrases if one.tool == tool] for tool in Tool}
        self._spans = {tool: [one.span for one in phrases if one.tool == tool and one.span] for tool in FREE_TEXT}

    @staticmethod
    def shipped(data: Path | None = None, without: str = "") -> Drawing:
        """data: the shared data, for what people say elsewhere. without: a file of phrases that is held back."""
        phrases = [one for path in sorted(FOLDER.glob("*.jsonl")) if path.stem != without for one in read_phrases(path)]
        if data is None:
            return Drawing(phrases)
        return Drawing(phrases, said_elsewhere(data), *facts_and_things(data))

    def texts(self, chance: random.Random) -> list[str]:
        """What the vocabulary learns of questions."""
        made = [self.grammar.phrase(chance, tool) for tool in Tool for _ in range(200)]
        return [" " + _OPEN.sub(" ", one.question).lower() for one in [*self.phrases, *made]]

    def lesson(self, tokenizer: Tokenizer, chance: random.Random) -> Lesson:
        return lesson(self.phrase(chance), tokenizer, chance)

    def phrase(self, chance: random.Random) -> Phrase:
        tool = chance.choices(list(SHARES), list(SHARES.values()))[0]
        if tool is Tool.NONE and self.elsewhere and chance.random() < 0.35:
            return varied(Phrase(chance.choice(self.elsewhere), tool), chance)
        if chance.random() < BY_HAND and self._by_tool[tool]:
            phrase = self._swapped(chance.choice(self._by_tool[tool]), chance)
        else:
            phrase = self.grammar.phrase(chance, tool)
            if tool in FREE_TEXT and chance.random() < 0.5:
                phrase = self._swapped(phrase, chance)
        if tool is not Tool.NONE and not phrase.span and chance.random() < WITH_REASON:
            reason = self.grammar.expand("$why", chance)
            phrase = replace(phrase, question=f"{reason}{chance.choice(('. ', ', ', ', so ', ' - '))}{phrase.question}")
        return _mistaken(varied(phrase, chance), chance)

    def _swapped(self, phrase: Phrase, chance: random.Random) -> Phrase:
        """Other free text in the same words."""
        if phrase.tool not in FREE_TEXT or not phrase.span or chance.random() < 0.4:
            return phrase
        long = phrase.tool is Tool.REMEMBER
        others = self._facts if long else self._things
        draw = chance.random()
        if draw < 0.35:
            other = chance.choice(self._spans[phrase.tool])
        elif draw < 0.65 and others:
            other = chance.choice(others)
        else:
            other = self.grammar.expand("$text" if long else "$topic", chance)
        place = phrase.question.lower().rfind(phrase.span.lower())
        if place < 0:
            return phrase
        question = phrase.question[:place] + other + phrase.question[place + len(phrase.span) :]
        return replace(phrase, question=question, arguments={FREE_TEXT[phrase.tool]: other})


def _mistaken(phrase: Phrase, chance: random.Random) -> Phrase:
    """As the finder of mentions gets it wrong. In free text nothing is changed, since an argument repeats it."""
    if phrase.span:
        return phrase

    def other(found: re.Match[str]) -> str:
        kind, draw = found[1], chance.random()
        if draw < UNFOUND:
            return MAKERS[kind](chance)
        return f"{{{_TAKEN_FOR.get(kind, kind)}}}" if draw < UNFOUND + MISTAKEN else found[0]

    return replace(phrase, question=_OPEN.sub(other, phrase.question))


def said_elsewhere(data: Path, limit: int = 12_000) -> list[str]:
    """What users say in small talk, about countries, and to services that book and find."""
    found = []
    for source, most in (("smalltalk", 2500), ("factbook", 2500), ("dialogues", limit)):
        left = most
        for document in documents(data, source):
            said = [text.strip() for _, text in document][1::4] if source != "dialogues" else [document[1][1].strip()]
            for one in said:
                if 2 < len(one) < 120 and "\n" not in one:
                    found.append(one)
                    left -= 1
            if left < 0:
                break
    return found


def facts_and_things(data: Path, most: int = 4000) -> tuple[list[str], list[str]]:
    """Short statements, and nouns with their article, from what services and books say."""
    facts: list[str] = []
    things: list[str] = []
    for document in documents(data, "dialogues"):
        for _, text in document[3::4]:
            for one in re.split(r"(?<=[.!?])\s+", text.strip()):
                if one.endswith(".") and 3 <= len(one.split()) <= 11:
                    facts.append(one.rstrip("."))
        if len(facts) > most:
            break
    for number, document in enumerate(documents(data, "books")):
        if number % 40 == 0:
            text = document[0][1]
            things += [one[0] for one in re.finditer(r"\b(?:the|my|our|his) [a-z]{4,}(?: of the [a-z]{4,})?\b", text)]
            facts += [one for one in re.split(r"[.;]\s+", text) if 4 <= len(one.split()) <= 10 and one.isascii()][:3]
        if len(things) > most:
            break
    return facts, [one.removeprefix("the ") if len(one) % 3 == 0 else one for one in things]
