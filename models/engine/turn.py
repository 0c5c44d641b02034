"""One answer between two steps of an engine: what goes in next, and what a row of logits makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from models.engine.port import Engine, Floats, Piece
from models.engine.sampling import Choice, Sampler, Sampling
from models.engine.schema import grammar_of
from models.engine.text import Text

Ended = Literal["", "stop", "length"]


@dataclass(frozen=True)
class Step:
    """text: what is certain to be said more. ended: "stop" for the model's own end or a stop text, "length" for
    max_tokens or a full context; empty while it goes on. stop: the stop text, where it was one. known: tokens of the
    prompt whose keys and values were there before."""

    choice: Choice
    text: str
    ended: Ended = ""
    stop: str = ""
    known: int = 0


class Turn:
    """limit_tokens: how many the sequence may hold. Used on the engine's thread; `close` it at the end."""

    def __init__(
        self, engine: Engine, sequence: int, prompt: Sequence[int], sampling: Sampling, limit_tokens: int | None = None
    ) -> None:
        """Raises SchemaRefused (KF397)."""
        self._engine, self._sequence, self._most = engine, sequence, sampling.max_tokens
        self._limit = engine.facts.longest_tokens if limit_tokens is None else limit_tokens
        grammar = sampling.grammar
        if grammar is None and sampling.schema is not None:
            grammar = grammar_of(sampling.schema)
        self._masker = None if grammar is None else engine.masker(grammar)
        self._sampler = Sampler(sampling, self._masker)
        self._text = Text(sampling.stop)
        self._tokens = list(prompt)
        self._next = self._known = 0
        self._said = 0

    @property
    def tokens(self) -> Sequence[int]:
        """The prompt and what was said, to the last token that was chosen, whether it went in or not."""
        return self._tokens

    @property
    def said(self) -> int:
        """How many tokens it has chosen."""
        return self._said

    @property
    def may_say(self) -> int:
        """How many tokens it may still add to its sequence."""
        return max(0, min(self._most - self._said, self._limit - len(self._tokens)))

    def goes_on_from(self, held: int) -> None:
        """The sequence holds the first `held` tokens: what goes in next stands behind them. At least one is left."""
        self._next = held
        if not self._said:
            self._known = held

    def moves_to(self, sequence: int) -> None:
        """What its sequence held is in another one."""
        self._sequence = sequence

    def piece(self, most_rows: int | None = None) -> Piece:
        """What goes in next: at most so many rows of it, so that a long prompt does not keep others waiting."""
        left = len(self._tokens) - self._next
        rows = left if most_rows is None else min(left, most_rows)
        fresh = self._tokens[self._next : self._next + rows]
        self._next += rows
        return Piece(self._sequence, fresh, wanted="last" if rows == left else "none")

    def take(self, logits: Floats) -> Step | None:
        """logits: rows that came of the piece. None while a prompt goes in. Raises SamplingInvalid (KF401)."""
        if not len(logits):
            return None
        choice = self._sampler.choose(logits[-1])
        self._said += 1
        if choice.token in self._engine.facts.ends:
            return self._step(choice, self._text.end(), "stop")
        more = self._text.add(self._engine.piece(choice.token))
        if self._text.stopped:
            return self._step(choice, more, "stop", self._text.stopped_by)
        if self._said == self._most or self._engine.length(self._sequence) >= self._limit:
            return self._step(choice, more + self._text.end(), "length")
        self._tokens.append(choice.token)
        return self._step(choice, more)

    def _step(self, choice: Choice, text: str, ended: Ended = "", stop: str = "") -> Step:
        return Step(choice, text, ended, stop, self._known)

    def close(self) -> None:
        if self._masker is not None:
            self._masker.close()
