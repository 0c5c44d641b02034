"""Whether a context that was brought from elsewhere goes on as one that was computed here: logits and tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.engine.port import Engine, Piece

Bring = Callable[[Engine, int, Sequence[int]], None]


@dataclass(frozen=True)
class Compared:
    """max_logit_diff: over all rows that chose a token. same: tokens that both chose, of `tokens`."""

    max_logit_diff: float
    same: int
    tokens: int


def prompts_of(vocabulary: int, count: int, length: int) -> list[list[int]]:
    """Different from the first token on."""
    return [[(7 * place + 131 * number) % (vocabulary - 10) + 5 for place in range(length)] for number in range(count)]


def prefill(engine: Engine, sequence: int, prompt: Sequence[int], rows: int) -> None:
    """All of a prompt but its last token, in pieces of `rows`."""
    for begin in range(0, len(prompt) - 1, rows):
        engine.decode([Piece(sequence, prompt[begin : min(begin + rows, len(prompt) - 1)], wanted="none")])


def compare(
    here: Engine, there: Engine, prompts: Sequence[Sequence[int]], bring: Bring, *, rows: int, tokens: int
) -> Compared:
    """here: computes the prompts itself, in pieces of `rows`; there: is filled by `bring`. Then both say the likeliest
    tokens, all sequences in one step, at least `tokens` together; what is said here goes into both."""
    for sequence, prompt in enumerate(prompts):
        prefill(here, sequence, prompt, rows)
        bring(there, sequence, prompt)
    last = [prompt[-1] for prompt in prompts]
    worst, same, said = 0.0, 0, 0
    while said < tokens:
        pieces = [Piece(sequence, [token]) for sequence, token in enumerate(last)]
        last = []
        for own, other in zip(here.decode(pieces), there.decode(pieces), strict=True):
            worst = max(worst, float(np.abs(own.logits - other.logits).max()))
            token = int(own.logits[-1].argmax())
            same += token == int(other.logits[-1].argmax())
            said += 1
            last.append(token)
    return Compared(worst, same, said)
