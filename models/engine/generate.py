"""One answer, token by token, on one sequence. Many at a time are the scheduler's work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from models.engine.port import Engine, Piece
from models.engine.sampling import Choice, Sampler, Sampling
from models.engine.schema import grammar_of
from models.engine.text import Text

Ended = Literal["", "stop", "length"]


@dataclass(frozen=True)
class Step:
    """text: what is certain to be said more. ended: "stop" for the model's own end or a stop text, "length" for
    max_tokens or a full context; empty while it goes on."""

    choice: Choice
    text: str
    ended: Ended = ""


def generate(engine: Engine, sequence: int, prompt: Sequence[int], sampling: Sampling) -> Iterator[Step]:
    """Go on from what the sequence holds. Raises ContextTooLong (KF394) for a prompt that does not fit, and as
    `Engine.decode`."""
    masker = engine.masker(grammar_of(sampling.schema)) if sampling.schema is not None else None
    try:
        sampler = Sampler(sampling, masker)
        text = Text(sampling.stop)
        fresh: Sequence[int] = prompt
        for count in range(1, sampling.max_tokens + 1):
            choice = sampler.choose(engine.decode([Piece(sequence, fresh)])[0].logits[0])
            if choice.token in engine.facts.ends:
                yield Step(choice, text.end(), "stop")
                return
            more = text.add(engine.piece(choice.token))
            if text.stopped:
                yield Step(choice, more, "stop")
                return
            if count == sampling.max_tokens or engine.length(sequence) >= engine.facts.context_tokens:
                yield Step(choice, more + text.end(), "length")
                return
            yield Step(choice, more)
            fresh = (choice.token,)
    finally:
        if masker is not None:
            masker.close()
