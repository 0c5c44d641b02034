"""Understanding on the device member alone: one step of the engine over the question, heads on its residual."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from models.assistant.tools import Tool
from models.assistant.understanding.choice import Choice, Entities
from models.assistant.understanding.confidence import Calibration
from models.assistant.understanding.durations import Duration, durations
from models.assistant.understanding.heads import Heads, Reading
from models.assistant.understanding.marked import MARKS, Part, parts_of, plain, tokens_of
from models.assistant.understanding.mentions import Finder, Mention, clear
from models.assistant.understanding.ngrams import features, marked_text
from models.assistant.understanding.resolve import Found, Resolved, resolve
from models.assistant.understanding.spans import spoken
from models.engine.port import Engine, Piece

SITES_KEPT = 8


class KinUnderstanding:
    """engine: on the device member, with a tap behind its last block; used from its thread, and all of it is this
    object's: what sequence 0 holds is thrown away. heads: for that member."""

    def __init__(self, engine: Engine, heads: Heads, calibration: Calibration) -> None:
        self._engine = engine
        self._heads = heads
        self._calibration = calibration
        self._controls = {name: self._control(name) for name in (*MARKS, "user", "tool")}
        self._common: Callable[[str], bool] = lru_cache(4096)(self._is_common)
        self._finder = lru_cache(SITES_KEPT)(self._finder_of)

    def choose(self, question: str, entities: Entities) -> Choice:
        if not question.strip():
            return Choice(tool=Tool.NONE, arguments={}, confidence=1.0, sure=True)
        resolved = self.resolved(question, entities)
        confidence = self._calibration.confidence(resolved.features)
        return Choice(
            tool=resolved.tool,
            arguments=resolved.arguments,
            confidence=confidence,
            sure=confidence >= self._calibration.least(resolved.tool),
        )

    def resolved(self, question: str, entities: Entities) -> Resolved:
        """Before it is calibrated. Raises as `Engine.decode`."""
        found = self.found(question, entities)
        return resolve(found, self.read(found))

    def found(self, question: str, entities: Entities) -> Found:
        text = plain(question)
        mentions = self._finder(entities).find(question)
        lengths = durations(text)
        # A number in a length of time is no name: "the last 5 minutes" is not camera 5.
        mentions = [one for one in mentions if not any(_within(one, length) for length in lengths)]
        marked = clear(mentions)
        marks = [Part(one.start, one.end, one.kind) for one in marked]
        marks += [
            Part(one.start, one.end, "duration")
            for one in lengths
            if not any(mark.start < one.end and one.start < mark.end for mark in marks)
        ]
        parts = parts_of(len(text), marks)
        tokens = tokens_of(text, parts, self._engine.tokenize, self._engine.piece, self._controls.__getitem__)
        rows = features(marked_text(text, parts))
        said = spoken(text, parts)
        return Found(
            question, text, tuple(marked), tuple(mentions), tuple(lengths), tuple(tokens), tuple(rows), tuple(said)
        )

    def read(self, found: Found) -> Reading:
        tokens = [self._controls["user"], *(one.number for one in found.tokens), self._controls["tool"]]
        self._engine.rollback(0, 0)
        [output] = self._engine.decode([Piece(0, tokens, wanted="none")])
        if output.hidden is None:
            raise ValueError("the engine has no tap")
        return self._heads.read(output.hidden, found.rows)

    def close(self) -> None:
        self._engine.close()

    def _control(self, name: str) -> int:
        [token] = self._engine.tokenize(f"<|{name}|>", control=True)
        return token

    def _is_common(self, word: str) -> bool:
        """A word that is one token is one of the language's frequent ones."""
        return len(self._engine.tokenize(f" {word}")) == 1

    def _finder_of(self, entities: Entities) -> Finder:
        return Finder(entities, self._common)


def _within(mention: Mention, length: Duration) -> bool:
    return length.start <= mention.start and mention.end <= length.end
